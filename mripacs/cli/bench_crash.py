"""`mripacs bench crash`: does a storage SCP keep what it acknowledged when it is killed?"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.core.errors import MripacsError, SettingsError
from mripacs.core.logging import configure_logging
from mripacs.core.model import ReceivedObject
from mripacs.core.settings import LimitSettings, LogSettings

if TYPE_CHECKING:
    from mripacs.cli.crash.trial import CrashTest, Loss, Trial

LOST = 74  # EX_IOERR: exit code
MAX_FILE_BYTES = 2_000_000  # more would make trials of few instances


def crash(
    peer: Annotated[str, typer.Option(help="HOST:PORT of the storage SCP under test.")],
    files: Annotated[list[Path], typer.Option(help="Files or folders of DICOM objects to send copies of.")],
    kills: Annotated[int, typer.Option(min=1, help="How often it is killed.")] = 20,
    start_command: Annotated[
        str | None, typer.Option(help="Runs the server; without it something else must start it again.")
    ] = None,
    pid_file: Annotated[Path | None, typer.Option(help="Holds the process ID to kill.")] = None,
    kill_command: Annotated[str | None, typer.Option(help="Kills the server, instead of SIGKILL.")] = None,
    received: Annotated[
        Path | None, typer.Option(help="Folder it writes files to; then neither C-FIND nor C-GET is needed.")
    ] = None,
    senders: Annotated[int, typer.Option(min=1, max=64, help="Associations at once.")] = 4,
    objects: Annotated[int, typer.Option(min=1, help="Instances of each sender before each kill.")] = 10,
    rel_error: Annotated[
        float, typer.Option(min=0, max=1, help="Loss allowed in a frame that is marked lossy.")
    ] = 0.05,
    seed: Annotated[int | None, typer.Option(help="Of the moments of the kills; printed.")] = None,
    start_timeout: Annotated[float, typer.Option(min=1, help="Seconds that a start may take.")] = 120,
    aec: Annotated[str, typer.Option("--aec", help="The title to call.")] = "MRIPACS",
    aet: Annotated[str, typer.Option("--aet", help="Our own title.")] = "MRIPACS-CRASH",
    as_json: AsJson = False,
) -> None:
    """Kill a storage SCP while it is sent to, start it again, and fetch all that it acknowledged.

    Sends copies of the files under new UIDs: use a server whose data may be thrown away. An acknowledged instance must
    be there, byte for byte, as an equal data set, or marked as lossy and within --rel-error; an unacknowledged one may
    be there, but whole; counts must agree. Exit code 74 when anything is missing, altered, partial or miscounted.

    SIGKILL ends the process and nothing else: what it wrote without fsync stays in the system's page cache and is there
    afterwards. A server that passes may still lose data when the power fails.
    """
    configure_logging(LogSettings(level="ERROR"))
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # associations break here on purpose
    seed = secrets.randbelow(2**32) if seed is None else seed
    from mripacs.cli.crash.server import ServerProcess  # noqa: PLC0415 - `mripacs --help` stays light

    server = ServerProcess(start_command, pid_file, kill_command)
    test = _prepare(peer, aec, aet, _read(files), received, server, Random(seed))  # noqa: S311 - moments, not secrets
    test.senders, test.objects, test.rel_error, test.start_timeout_s = senders, objects, rel_error, start_timeout
    trials: list[Trial] = []
    try:
        test.start()
        with progress_bar(hidden=as_json) as bar:
            for _ in bar.track(range(kills), description="killing"):
                trials.append(test.run_trial())
        late = test.look_again()
    finally:
        server.end()
    losses = _losses(trials, late)
    _report(peer, seed, trials, losses, as_json=as_json)
    if losses:
        raise typer.Exit(LOST)


def _read(paths: list[Path]) -> list[ReceivedObject]:
    from mripacs.dicom.part10 import read_part10  # noqa: PLC0415 - as above

    objects = []
    for _, content in find_items(paths, LimitSettings().max_object_bytes):
        try:
            item = read_part10(content)
        except MripacsError:
            continue  # folders of DICOM files hold other files, too
        if len(item.dataset) <= MAX_FILE_BYTES:
            objects.append(item)
    return objects


def _prepare(
    peer: str,
    called: str,
    calling: str,
    objects: list[ReceivedObject],
    received: Path | None,
    server: Any,
    random: Random,
) -> CrashTest:
    from mripacs.cli.crash.copies import Copies, syntaxes_of  # noqa: PLC0415 - as above
    from mripacs.cli.crash.evidence import FolderSource, NetworkSource  # noqa: PLC0415
    from mripacs.cli.crash.trial import CrashTest, kill_at_random, send_with_own_association  # noqa: PLC0415
    from mripacs.dimse.client import Peer  # noqa: PLC0415

    host, _, port = peer.rpartition(":")
    if not (host and port.isdigit()):
        raise SettingsError(f"--peer {peer}: expected HOST:PORT")
    entity = Peer(host, int(port), called, calling)
    copies = Copies(objects, random)
    source = FolderSource(received) if received else NetworkSource(entity, syntaxes_of(copies.templates))
    return CrashTest(entity, server, source, copies, random, [send_with_own_association], kill_at_random)


def _losses(trials: Sequence[Trial], late: Sequence[Loss]) -> list[Loss]:
    """Each once: what was lost in a trial is lost in the end, too."""
    return list(dict.fromkeys([loss for trial in trials for loss in trial.losses] + list(late)))


def _report(peer: str, seed: int, trials: Sequence[Trial], losses: Sequence[Loss], *, as_json: bool) -> None:
    likeness = sum((trial.likeness for trial in trials), Counter[str]())
    kinds = Counter(loss.kind for loss in losses)
    starts = sorted(trial.start_s for trial in trials)
    summary: dict[str, object] = {
        "peer": peer,
        "seed": seed,
        "kills": len(trials),
        "offered": sum(trial.offered for trial in trials),
        "acknowledged": sum(trial.acknowledged for trial in trials),
        "refused": sum(len(trial.refused) for trial in trials),
        "present without an answer": sum(trial.unacknowledged_present for trial in trials),
        **{str(word): number for word, number in sorted(likeness.items())},
        **{kind: kinds[kind] for kind in ("missing", "altered", "unreadable", "partial", "miscounted")},
        "start s, median": round(starts[len(starts) // 2], 2),
        "start s, longest": round(starts[-1], 2),
    }
    if as_json:
        print_json({**summary, "losses": [asdict(loss) for loss in losses]})
        return
    print_table("Crash test", ("what", "value"), [[name, value] for name, value in summary.items()])
    if losses:
        print_table("Losses", ("kind", "instance", "what"), [[loss.kind, loss.uid, loss.detail] for loss in losses])
