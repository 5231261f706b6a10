"""`mripacs admin conformance`: the DICOM conformance statement of this node, as it is configured."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mripacs.cli.context import options_of
from mripacs.core.errors import SettingsError


class Format(StrEnum):
    """Forms of the statement."""

    MD = "md"
    HTML = "html"
    JSON = "json"


def register(admin: typer.Typer) -> None:
    """Add the command to the tree."""
    admin.command()(conformance)


def conformance(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Write here instead of to standard output.")] = None,
    as_format: Annotated[Format, typer.Option("--format", help="Form of the statement.")] = Format.MD,
) -> None:
    """The DICOM conformance statement (PS3.2), generated from the code and from the configuration in force."""
    settings = options_of(ctx).settings()
    from mripacs.conformance import FORMATS, statement  # noqa: PLC0415 - `mripacs --help` stays light

    text = FORMATS[as_format](statement(settings))
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {out}")
