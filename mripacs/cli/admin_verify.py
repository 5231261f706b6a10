"""`mripacs admin verify` and `mripacs admin quarantined`: whether everything is whole, and what is not given out."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, open_archive, print_json, print_table
from mripacs.cli.local import progress_bar
from mripacs.cli.walks import follow, leave

if TYPE_CHECKING:
    from mripacs.core.model import VerifyFinding
    from mripacs.retrieve.verify import Verification


def register(admin: typer.Typer) -> None:
    """Add the commands to the tree."""
    admin.command()(verify)
    admin.command()(quarantined)


def verify(
    ctx: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Quarantine what is damaged, drop orphans, derive counts anew.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Instances a second at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read everything, check every digest and every proof of stability.

    Exit codes: 0 all is well, 74 something is wrong (also when it was repaired), 75 interrupted: --resume goes on.
    """
    with open_archive(ctx) as archive, progress_bar(hidden=as_json) as bar:
        walk = archive.verify(repair=repair, resume=resume, rate=rate)
        follow(walk, bar, "verifying", archive.statistics().instances)
    _report(walk, as_json=as_json)
    leave(walk)


def quarantined(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The damaged instances, which are not given out. Delete them, or send the originals again to take their place."""
    with open_archive(ctx) as archive:
        found = archive.quarantined()
    if as_json:
        print_json([asdict(identity) for identity in found])
        return
    rows = [
        [each.sop_instance_uid, each.original_sop_instance_uid, each.series_instance_uid, each.study_instance_uid]
        for each in found
    ]
    print_table("Quarantine", ("instance", "received as", "series", "study"), rows)


def _report(walk: Verification, *, as_json: bool) -> None:
    progress = walk.progress
    if as_json:
        found = {"checked": progress.checked, "findings": [asdict(finding) for finding in progress.findings]}
        print_json(found | ({"repaired": walk.repaired} if walk.repair else {}))
        return
    end = "" if progress.finished_at else "; interrupted, --resume goes on"
    typer.echo(f"{progress.checked} instances checked, {len(progress.findings)} findings{end}")
    if progress.findings:
        columns = ("instance", "part", "what is wrong")
        print_table("Findings", columns, [_row(finding) for finding in progress.findings])
    if walk.repaired:
        print_table("Repaired", ("what",), [[line] for line in walk.repaired])


def _row(finding: VerifyFinding) -> list[object]:
    return [finding.sop_instance_uid, finding.what, finding.detail]
