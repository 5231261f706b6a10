"""`mripacs bench node`: the whole node beside Orthanc and DCMTK, in and out, queries, memory and bytes on disk."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table, size
from mripacs.cli.local import progress_bar
from mripacs.cli.node_bench.choices import OwnTier, Peer
from mripacs.core.logging import configure_logging
from mripacs.core.settings import LogSettings

if TYPE_CHECKING:
    from mripacs.cli.node_bench.report import Row

QUICK_COUNT, QUICK_FILES, QUICK_ROUNDS = 4, 8, 1
SERVER_COLUMNS = ("server", "peak memory", "CPU s", "instances", "bytes on disk", "bytes an instance")


def node(
    folders: Annotated[list[Path], typer.Argument(help="Folders of DICOM files.")],
    peer: Annotated[list[Peer] | None, typer.Option(help="Other servers, in turn.")] = None,
    tier: Annotated[list[OwnTier] | None, typer.Option(help="Tiers of ours; both if none is given.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that count; one more goes before.")] = 5,
    count: Annotated[int, typer.Option(min=2, help="Instances of each operation in each round.")] = 50,
    files: Annotated[int, typer.Option(min=2, help="Real files that are used, spread evenly.")] = 300,
    seed: Annotated[int, typer.Option(help="Of their order.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="One round of 4 instances: does it run?")] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Nothing is answered out of memory: ours and Orthanc's caches are off.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send, fetch and query in throw-away archives, server by server in turn: rates, ratios, CPU, memory and disk.

    Each operation's instances are copies of the files under new UIDs, the same for every server. A ratio above 1 says
    how many times faster ours is. Bytes on disk are counted after the servers ended, so their logs are folded in.
    """
    configure_logging(LogSettings(level="ERROR"))
    from mripacs.cli.node_bench import report, servers, trial, usage  # noqa: PLC0415 - `mripacs --help` stays light
    from mripacs.cli.node_bench.samples import Samples  # noqa: PLC0415
    from mripacs.cli.node_bench.sink import MoveSink  # noqa: PLC0415

    if quick:
        rounds, count, files = QUICK_ROUNDS, QUICK_COUNT, QUICK_FILES
    samples = Samples(folders, files, count, seed)
    with tempfile.TemporaryDirectory(prefix="mripacs-node-") as folder, MoveSink() as sink:
        with ExitStack() as running, progress_bar(hidden=as_json) as bar:
            ours = [
                running.enter_context(servers.our_node(Path(folder) / each, sink, each, cold=cold))
                for each in dict.fromkeys(tier or OwnTier)
            ]
            peers = [
                running.enter_context(servers.PEERS[each](Path(folder) / each, sink, cold=cold))
                for each in dict.fromkeys(peer or ())
            ]
            everyone = [*ours, *peers]
            done = trial.run(
                everyone, samples, sink, rounds, lambda numbers: bar.track(list(numbers), description="rounds")
            )
        on_disk = {server.name: usage.bytes_below(server.folder) for server in everyone}
    rows = report.operation_rows(done, [server.name for server in ours], [server.name for server in peers])
    of_servers = report.server_rows(done, on_disk)
    if as_json:
        facts = {
            "sets": samples.sets,
            "files": samples.files,
            "rounds": rounds,
            "count": count,
            "seed": seed,
            "cold": cold,
        }
        print_json({**facts, "operations": rows, "servers": of_servers})
        return
    print_table("Rates, medians", *report.operation_cells(rows, [server.name for server in everyone]))
    print_table("Servers", SERVER_COLUMNS, [_server_cells(row) for row in of_servers])


def _server_cells(row: Row) -> list[str]:
    return [
        str(row["server"]),
        size(float(str(row["peak_memory_bytes"]))),
        f"{float(str(row['cpu_seconds'])):.1f}",
        str(row["instances"]),
        size(float(str(row["bytes_on_disk"]))),
        f"{float(str(row['bytes_per_instance'])):.0f}",
    ]
