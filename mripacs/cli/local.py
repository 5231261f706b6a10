"""`mripacs import` and `mripacs export`: files into the archive and out of it, through the network's doors."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mripacs.cli.context import AsJson, open_archive, options_of, print_json, print_table, size
from mripacs.cli.files import find_items
from mripacs.core.errors import MripacsError, NotDicomError, UnknownInstanceError
from mripacs.core.model import InstanceSelection, Receipt


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    app.command(name="import")(import_files)
    app.command()(export)


def progress_bar(*, hidden: bool) -> Progress:
    """The bar of every long command, on standard error so that output can be piped."""
    from rich.console import Console  # noqa: PLC0415 - one import for the one command that draws

    console = Console(stderr=True)
    console.quiet = hidden or not console.is_terminal  # a bar in a log file is noise, and ends in an empty line
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


@contextmanager
def interruptible(ended: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `ended`: a walk ends after the instance under way, so that it can be resumed."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in earlier:
            signal.signal(number, lambda *_: ended.set())
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def import_files(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files, folders or zip archives.")],
    workers: Annotated[int | None, typer.Option(help="Codec processes; 0 for none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Store DICOM files. Files that are no DICOM are counted and skipped; refused ones are named, exit code 65."""
    settings = options_of(ctx).settings({"archive": {"workers": workers}}, default_log_level="ERROR")
    from mripacs.archive import Archive  # noqa: PLC0415 - `mripacs --help` stays light

    counts: Counter[str] = Counter()
    refused: dict[str, str] = {}
    received = stored = 0
    items = (
        list(find_items(paths, settings.limits.max_object_bytes))
        if not as_json
        else find_items(paths, settings.limits.max_object_bytes)
    )
    with (
        Archive.open(settings=settings, workers=settings.archive.workers) as archive,
        progress_bar(hidden=as_json) as bar,
    ):
        task = bar.add_task("importing", total=len(items) if isinstance(items, list) else None)
        for label, outcome in archive.store_many(items):
            bar.advance(task)
            if isinstance(outcome, Receipt):
                counts[outcome.disposition] += 1
                received += outcome.certificate.received_bytes
                stored += outcome.stored_bytes
            elif isinstance(outcome, NotDicomError):
                counts["not DICOM"] += 1
            else:
                counts["refused"] += 1
                refused[label] = str(outcome)
    summary = {"counts": dict(counts), "received_bytes": received, "stored_bytes": stored, "refused": refused}
    if as_json:
        print_json(summary)
    else:
        rows = [[word, number] for word, number in sorted(counts.items())]
        print_table("Imported", ("outcome", "files"), rows)
        typer.echo(f"{size(received)} received, {size(stored)} kept")
        for label, why in refused.items():
            typer.echo(f"refused {label}: {why}", err=True)
    if refused:
        raise typer.Exit(65)


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(help="Folder to write study/series/instance.dcm into.")],
    study: Annotated[list[str] | None, typer.Option(help="Study Instance UID; several are allowed.")] = None,
    series: Annotated[list[str] | None, typer.Option(help="Series Instance UID.")] = None,
    instance: Annotated[list[str] | None, typer.Option(help="SOP Instance UID, served or original.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write instances as DICOM files: all of them, or those that the UIDs name."""
    selection = InstanceSelection((), tuple(study or ()), tuple(series or ()), tuple(instance or ()))
    failed: dict[str, str] = {}
    written = 0
    with open_archive(ctx) as archive, progress_bar(hidden=as_json) as bar:
        identities = archive.select(selection)
        if not identities:
            raise UnknownInstanceError("nothing in the archive matches")
        for identity in bar.track(identities, description="exporting"):
            try:
                archive.export(identity, out)
                written += 1
            except MripacsError as error:
                failed[identity.sop_instance_uid] = str(error)
    if as_json:
        print_json({"written": written, "failed": failed, "folder": out})
    else:
        typer.echo(f"{written} files written to {out}")
        for uid, why in failed.items():
            typer.echo(f"failed {uid}: {why}", err=True)
    if failed:
        raise typer.Exit(74)
