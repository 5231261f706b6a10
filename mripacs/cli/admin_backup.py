"""`mripacs admin backup` and `mripacs admin restore`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mripacs.cli.context import AsJson, open_archive, options_of, print_json, size
from mripacs.cli.local import progress_bar

DAMAGED = 74  # EX_IOERR: exit code


def register(admin: typer.Typer) -> None:
    """Add the commands to the tree."""
    admin.command()(backup)
    admin.command()(restore)


def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Write the whole archive into one file, consistently, while nodes go on. PostgreSQL needs pg_dump on the PATH."""
    url = options_of(ctx).settings().database_url
    from mripacs.store import backup as backups  # noqa: PLC0415 - `mripacs --help` stays light

    written = backups.backup(url, file)
    print_json({"file": file, "bytes": written}) if as_json else typer.echo(f"{size(written)} in {file}")


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `mripacs admin backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty database and verify everything in it. Exit code 74 if anything is wrong."""
    url = options_of(ctx).settings().database_url
    from mripacs.store import backup as backups  # noqa: PLC0415 - as above

    backups.restore(url, file)
    with open_archive(ctx) as archive, progress_bar(hidden=as_json) as bar:
        walk = archive.verify()
        task = bar.add_task("verifying", total=archive.statistics().instances)
        for _ in walk:
            bar.update(task, completed=walk.progress.checked)
    findings = walk.progress.findings
    if as_json:
        print_json({"checked": walk.progress.checked, "findings": [asdict(finding) for finding in findings]})
    else:
        typer.echo(f"{walk.progress.checked} instances restored, {len(findings)} findings")
    if findings:
        raise typer.Exit(DAMAGED)
