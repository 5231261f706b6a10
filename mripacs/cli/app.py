"""`mripacs`: global options, the command tree, and the place where errors become messages and exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mripacs import __version__
from mripacs.cli import admin, bench, bench_busy, bench_crash, demo, import_kspace, local, peers, serve
from mripacs.cli.context import GlobalOptions
from mripacs.core.errors import MripacsError

app = typer.Typer(
    name="mripacs",
    help="A storage node for MR images: DICOM in, small and provably stable payloads in a database, DICOM out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (serve, local, import_kspace, peers, demo):
    module.register(app)
bench.app.command()(bench_busy.busy)
bench.app.command()(bench_crash.crash)
app.add_typer(admin.app, name="admin")
app.add_typer(bench.app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mripacs {__version__}")
        raise typer.Exit


@app.callback()
def global_options(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with the settings.")] = None,
    directory: Annotated[
        Path | None, typer.Option("--directory", "-d", help="Folder of the embedded database.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL of the database, instead of a folder.")] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options before the command hold for every command; settings come from file, environment, then flags."""
    ctx.obj = GlobalOptions(config, directory, database, log_level)


def main() -> None:
    """Entry point: an error of ours is one line on standard error and its own exit code."""
    try:
        app()
    except MripacsError as error:
        typer.secho(f"mripacs: {error}", err=True, fg=typer.colors.RED)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `mripacs find ... | head`
        sys.exit(0)


if __name__ == "__main__":
    main()
