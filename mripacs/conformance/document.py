"""A document of sections, paragraphs and tables, and its three forms: Markdown, HTML, JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

Cell = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; every row has as many cells as there are columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands under it, in this order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A title, and sections that are numbered by their place."""

    title: str
    sections: tuple[Section, ...]

    def numbered(self) -> Iterator[tuple[str, Section]]:
        """Every section with its number ("4.2"), in reading order."""
        yield from _numbered("", self.sections)

    def table(self, title: str) -> Table:
        """The table of that title. KeyError when there is none."""
        tables = {table.title: table for _, section in self.numbered() for table in section.tables}
        return tables[title]


def _numbered(prefix: str, sections: tuple[Section, ...]) -> Iterator[tuple[str, Section]]:
    for index, section in enumerate(sections, 1):
        number = f"{prefix}{index}"
        yield number, section
        yield from _numbered(f"{number}.", section.sections)


def to_json(document: Document) -> str:
    """The document's tree as it is."""
    return json.dumps(asdict(document), indent=2, ensure_ascii=False) + "\n"


def to_markdown(document: Document) -> str:
    """CommonMark with pipe tables."""
    lines = [f"# {document.title}", ""]
    for number, section in document.numbered():
        lines += [f"{'#' * (number.count('.') + 2)} {number} {section.title}", ""]
        lines += [line for paragraph in section.paragraphs for line in (paragraph, "")]
        lines += [line for table in section.tables for line in _markdown_table(table)]
    return "\n".join(lines)


def _markdown_table(table: Table) -> list[str]:
    head = [f"**{table.title}**", "", _markdown_row(table.columns), "|" + " --- |" * len(table.columns)]
    return [*head, *(_markdown_row(row) for row in table.rows), ""]


def _markdown_row(cells: tuple[Cell, ...]) -> str:
    return "| " + " | ".join(_words(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def to_html(document: Document) -> str:
    """One page without scripts or outside resources, with a table of contents."""
    title = html.escape(document.title)
    sections = list(document.numbered())
    contents = "".join(f'<li><a href="#s{number}">{number} {html.escape(each.title)}</a>' for number, each in sections)
    body = "".join(_html_section(number, section) for number, section in sections)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{title}</h1><nav><ul>{contents}</ul></nav>{body}</html>\n"
    )


def _html_section(number: str, section: Section) -> str:
    level = min(6, number.count(".") + 2)
    heading = f'<h{level} id="s{number}">{number} {html.escape(section.title)}</h{level}>'
    paragraphs = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in section.paragraphs)
    return heading + paragraphs + "".join(map(_html_table, section.tables))


def _html_table(table: Table) -> str:
    head = "".join(f"<th scope=col>{html.escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_words(cell))}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return f"<table><caption>{html.escape(table.title)}</caption><thead><tr>{head}</tr></thead>{rows}</table>"


def _words(cell: Cell) -> str:
    return {True: "Yes", False: "No"}[cell] if isinstance(cell, bool) else str(cell)


_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse;margin:1rem 0;font-size:.9rem}"
    "caption{text-align:left;font-weight:600;padding:.3rem 0}"
    "td,th{border:1px solid #8886;padding:.25rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "nav ul{columns:2;list-style:none;padding:0}@media print{nav{display:none}}"
)
