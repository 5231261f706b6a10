"""What commands share: settings from the global options, an open archive, and output as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mripacs.core.logging import configure_logging
from mripacs.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from mripacs.archive import Archive

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options before the command."""

    config: Path | None = None
    directory: Path | None = None
    database: str | None = None
    log_level: str | None = None

    def settings(
        self, flags: Mapping[str, Mapping[str, Any]] | None = None, default_log_level: str | None = None
    ) -> Settings:
        """File, environment, global options and the command's own flags, merged; logging follows them.

        default_log_level : of commands that report outcomes themselves; --log-level overrides it.
        """
        merged: dict[str, dict[str, Any]] = {
            "archive": {"directory": self.directory, "database_url": self.database},
            "log": {"level": self.log_level.upper() if self.log_level else default_log_level},
        }
        for section, values in (flags or {}).items():
            merged.setdefault(section, {}).update(values)
        settings = load_settings(self.config, merged)
        configure_logging(settings.log)
        return settings


def options_of(ctx: typer.Context) -> GlobalOptions:
    """The global options of a command's context."""
    return ctx.obj if isinstance(ctx.obj, GlobalOptions) else GlobalOptions()


@contextmanager
def open_archive(ctx: typer.Context, *, workers: int = 0) -> Iterator[Archive]:
    """The archive that the settings name."""
    from mripacs.archive import Archive  # noqa: PLC0415 - `mripacs --help` stays light

    with Archive.open(settings=options_of(ctx).settings(), workers=workers) as archive:
        yield archive


def print_json(value: Any) -> None:
    """One JSON document on standard output; dates and paths as text."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on standard output; columns whose values are all numbers or sizes align to the right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    width = None if Console().is_terminal else 160  # piped output is not cut to a terminal nobody has
    Console(width=width).print(table)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or str(cell)[:1].isdigit() or str(cell) in {"", "-", "exact"}


def size(count: float) -> str:
    """Bytes for people: 812 B, 4.3 kB, 1.2 MB (powers of ten)."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.3g} {unit}" if count < 100 else f"{count:.0f} {unit}"
    return f"{count / 1000:.3g} TB"
