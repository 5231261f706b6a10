"""The report: the study's claims beside our measurements, in Markdown and in HTML with the figures inside."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mripacs.quality.paper.recursion import Recursion
from mripacs.quality.report import figure_html, page_html, table_html

if TYPE_CHECKING:
    from mripacs.quality.paper.learning import Learned

CLAIM_COLUMNS = ("the study", "measured here", "holds")
LEARNED_COLUMNS = (
    "network",
    "figure",
    "latent bytes",
    "parameters",
    "training loss",
    "error on the subject",
    "on all slices",
)
CHAIN_COLUMNS = ("system", "setting", "bytes", "first error", "last error", "unchanged from generation")

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # columns, rows


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of the study."""

    text: str
    measured: str
    holds: bool

    def cells(self) -> tuple[str, str, str]:
        """As a row."""
        return self.text, self.measured, "yes" if self.holds else "no"


def write_report(
    out: Path,
    command: str,
    about: str,
    claims: Sequence[Claim],
    tables: Mapping[str, Table],
    drawn: Mapping[str, Path],
) -> list[Path]:
    """Write report.md and report.html into `out`; gives both.

    tables : heading to columns and rows. drawn : caption to PNG file in the same folder.
    """
    lines = ["# The study's experiments, run again", "", f"{about} Made by `{command}`.", "", "## Claims", ""]
    lines += _markdown(CLAIM_COLUMNS, [claim.cells() for claim in claims])
    for title, (columns, rows) in tables.items():
        lines += ["", f"## {title}", "", *_markdown(columns, rows)]
    lines += [line for caption, file in drawn.items() for line in ("", f"![{caption}]({file.name})", "", caption)]
    markdown, whole = out / "report.md", out / "report.html"
    markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    body = [
        f"<p>{html.escape(about)}</p><h2>Claims</h2>{table_html(CLAIM_COLUMNS, [claim.cells() for claim in claims])}"
    ]
    body += [f"<h2>{title}</h2>{table_html(columns, rows)}" for title, (columns, rows) in tables.items()]
    body += [figure_html(caption, file) for caption, file in drawn.items()]
    whole.write_text(page_html("The study's experiments, run again", command, body), encoding="utf-8")
    return [whole, markdown]


def recursion_table(recursions: Sequence[Recursion]) -> Table:
    """First and last generation of each system."""
    rows = [
        (
            each.system,
            each.about,
            f"{each.mean_bytes:.0f}",
            f"{each.mean_errors[0]:.3%}",
            f"{each.mean_errors[-1]:.3%}",
            "never" if each.unchanged_from is None else str(each.unchanged_from),
        )
        for each in recursions
    ]
    return CHAIN_COLUMNS, rows


def learned_table(learned: Sequence[Learned]) -> Table:
    """Size and error of each network."""
    rows = [
        (
            each.system,
            each.figure,
            f"{each.latent_bytes}",
            f"{each.parameters}",
            f"{each.train_loss[0]:.5f} to {each.train_loss[-1]:.5f}",
            f"{each.mean_error:.1%}",
            "-" if each.elsewhere_error is None else f"{each.elsewhere_error:.1%}",
        )
        for each in learned
    ]
    return LEARNED_COLUMNS, rows


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
