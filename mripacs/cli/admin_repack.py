"""`mripacs admin repack`: fewer bytes for the same pixels, in the background."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, open_archive, print_json, print_table, size
from mripacs.cli.local import progress_bar
from mripacs.cli.walks import follow, leave

if TYPE_CHECKING:
    from mripacs.retrieve.repack import Repacking


def register(admin: typer.Typer) -> None:
    """Add the command to the tree."""
    admin.command()(repack)


def repack(
    ctx: typer.Context,
    study: Annotated[list[str] | None, typer.Option(help="Study Instance UID; several are allowed.")] = None,
    tables: Annotated[str | None, typer.Option(help="SHA-256 of tables added by `admin codec add`.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Instances a second at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Code lossy payloads again so that they take fewer bytes; pixels and certificates stay. A node may run meanwhile.

    Exit codes: 0 done, 74 something is damaged (it was left as it is), 75 interrupted: --resume goes on.
    """
    with open_archive(ctx) as archive, progress_bar(hidden=as_json) as bar:
        walk = archive.repack(studies=study or (), tables=tables, resume=resume, rate=rate)
        follow(walk, bar, "repacking", None if study else archive.statistics().instances)
    _report(walk, as_json=as_json)
    leave(walk)


def _report(walk: Repacking, *, as_json: bool) -> None:
    progress = walk.progress
    if as_json:
        print_json(
            {
                "checked": progress.checked,
                "repacked": walk.repacked,
                "bytes_before": walk.before,
                "bytes_after": walk.after,
                "finished": progress.finished_at is not None,
                "findings": [asdict(finding) for finding in progress.findings],
            }
        )
        return
    end = "" if progress.finished_at else "; interrupted, --resume goes on"
    typer.echo(f"{progress.checked} instances looked at, {walk.repacked} repacked{end}")
    typer.echo(f"their payloads took {size(walk.before)}, now {size(walk.after)}")
    if progress.findings:
        rows = [(finding.sop_instance_uid, finding.what, finding.detail) for finding in progress.findings]
        print_table("Left as they are", ("instance", "part", "what is wrong"), rows)
