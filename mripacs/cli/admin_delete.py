"""`mripacs admin delete` and `mripacs admin db vacuum`: taking instances out, and giving their space back."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from mripacs.cli.context import AsJson, open_archive, print_json, size
from mripacs.core.errors import QueryError
from mripacs.core.model import Deletion, InstanceIdentity, InstanceSelection, ReceivedFrom
from mripacs.core.settings import Settings


def register(admin: typer.Typer, db: typer.Typer) -> None:
    """Add the commands to the tree."""
    admin.command()(delete)
    db.command()(vacuum)


def delete(
    ctx: typer.Context,
    study: Annotated[str | None, typer.Option(help="Study Instance UID.")] = None,
    series: Annotated[str | None, typer.Option(help="Series Instance UID.")] = None,
    instance: Annotated[str | None, typer.Option(help="SOP Instance UID, served or original.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a study, a series or an instance for ever. Exit code 66 when nothing has that UID."""
    if not (study or series or instance):
        raise QueryError("name what to delete: --study, --series or --instance")
    source = local_user("admin delete")
    with open_archive(ctx) as archive:
        remove = partial(archive.delete, study=study, series=series, instance=instance, source=source)
        if not (dry_run or yes):
            typer.echo(_in_words(remove(dry_run=True), "would go"), err=True)
            typer.confirm("Delete for ever?", abort=True, err=True)
        before = archive.select(_selection(study, series, instance))
        deletion = remove(dry_run=dry_run)
        if not dry_run:
            _tell_syslog(archive.settings, before, deletion)
    if as_json:
        print_json({**asdict(deletion), "freed_bytes": deletion.freed_bytes, "dry_run": dry_run})
    else:
        typer.echo(_in_words(deletion, "would go" if dry_run else "deleted"))


def vacuum(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Give unused space of the database back to the file system. A node may run meanwhile."""
    with open_archive(ctx) as archive:
        freed = archive.vacuum()
    print_json({"freed_bytes": freed}) if as_json else typer.echo(f"{size(freed)} given back")


def _selection(study: str | None, series: str | None, instance: str | None) -> InstanceSelection:
    named = (((uid,) if uid else ()) for uid in (study, series, instance))
    return InstanceSelection((), *named)


def _tell_syslog(settings: Settings, before: list[InstanceIdentity], deletion: Deletion) -> None:
    if settings.log.syslog is not None:
        from mripacs.audit.deletions import tell_deletion  # noqa: PLC0415 - only where it is needed

        tell_deletion(settings, before, deletion, getpass.getuser())


def local_user(door: str) -> ReceivedFrom:
    """The audit trail's word for somebody at this machine."""
    return ReceivedFrom(door, peer=f"user {getpass.getuser()}")


def _in_words(deletion: Deletion, verb: str) -> str:
    counts = f"{len(deletion.sop_instance_uids)} instances, {deletion.series} series, {deletion.studies} studies"
    return f"{counts} {verb}, {size(deletion.freed_bytes)}"
