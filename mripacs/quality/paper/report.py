"""The report: the study's claims beside our measurements, in Markdown and in HTML with the figures inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mripacs.quality.paper.recursion import Recursion
from mripacs.quality.report import figure_html, page_html, table_html

CLAIM_COLUMNS = ("the study", "measured here", "holds")
CHAIN_COLUMNS = ("system", "setting", "bytes", "first error", "last error", "unchanged from generation")


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
    recursions: Mapping[str, Sequence[Recursion]],
    drawn: Mapping[str, Path],
) -> list[Path]:
    """Write report.md and report.html into `out`; gives both. drawn : caption to PNG file in the same folder."""
    tables = {f"Generations, {name}": [_chain_cells(each) for each in group] for name, group in recursions.items()}
    lines = ["# The study's experiments, run again", "", f"On {about}. Made by `{command}`.", "", "## Claims", ""]
    lines += _markdown(CLAIM_COLUMNS, [claim.cells() for claim in claims])
    for title, rows in tables.items():
        lines += ["", f"## {title}", "", *_markdown(CHAIN_COLUMNS, rows)]
    lines += [line for caption, file in drawn.items() for line in ("", f"![{caption}]({file.name})", "", caption)]
    markdown, html = out / "report.md", out / "report.html"
    markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    body = [f"<h2>Claims</h2>{table_html(CLAIM_COLUMNS, [claim.cells() for claim in claims])}"]
    body += [f"<h2>{title}</h2>{table_html(CHAIN_COLUMNS, rows)}" for title, rows in tables.items()]
    body += [figure_html(caption, file) for caption, file in drawn.items()]
    html.write_text(page_html("The study's experiments, run again", command, body), encoding="utf-8")
    return [html, markdown]


def _chain_cells(each: Recursion) -> tuple[str, ...]:
    return (
        each.system,
        each.about,
        f"{each.mean_bytes:.0f}",
        f"{each.mean_errors[0]:.3%}",
        f"{each.mean_errors[-1]:.3%}",
        "never" if each.unchanged_from is None else str(each.unchanged_from),
    )


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
