"""The page around the figures: tables of the same numbers, and the pictures inside the file."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mripacs.quality.curves import CurvePoint
from mripacs.quality.generations import Chain

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; background: white; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 2rem 0; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #dde; } }
"""


def page(
    heading: str,
    command: str,
    figures: Mapping[str, Path],
    curves: Mapping[str, Sequence[CurvePoint]],
    chains: Sequence[Chain],
) -> str:
    """One HTML file that needs no other: every figure under its caption, then the numbers.

    figures : caption to PNG file. curves : by group.
    """
    body = [figure_html(caption, file) for caption, file in figures.items()]
    body += [_curve_table(group, points) for group, points in curves.items()]
    return page_html(heading, command, [*body, _chain_table(chains)])


def page_html(heading: str, command: str, body: Sequence[str]) -> str:
    """A whole page around parts that are HTML already."""
    made = f"<h1>{html.escape(heading)}</h1><p>Made by <code>{html.escape(command)}</code></p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(heading)}</title><style>{_STYLE}</style>{made}{''.join(body)}</html>\n"
    )


def figure_html(caption: str, file: Path) -> str:
    """A PNG file inside the page, under its caption."""
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _curve_table(group: str, points: Sequence[CurvePoint]) -> str:
    columns = ("coder", "target", "slices", "bits a pixel", "PSNR, dB", "encode MPx/s", "decode MPx/s")
    rows = (
        (
            point.coder,
            f"{point.target:.1%}",
            str(point.slices),
            f"{point.bits_per_pixel:.3f}",
            f"{point.psnr:.2f}",
            f"{point.encode_megapixels_per_second:.2f}",
            f"{point.decode_megapixels_per_second:.2f}",
        )
        for point in points
    )
    return f"<h2>{html.escape(group)}</h2>{table_html(columns, rows)}"


def _chain_table(chains: Sequence[Chain]) -> str:
    columns = ("coder", "kept", "bytes", "first error", "last error", "unchanged from generation")
    rows = (
        (
            each.coder,
            str(each.control),
            str(each.first_bytes),
            f"{each.errors[0]:.3%}",
            f"{each.errors[-1]:.3%}",
            "never" if each.same_from is None else str(each.same_from),
        )
        for each in chains
    )
    return f"<h2>Generations</h2>{table_html(columns, rows)}"


def table_html(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, escaped."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
