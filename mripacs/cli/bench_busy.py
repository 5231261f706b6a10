"""`mripacs bench busy`: how soon the node answers while many associations store as fast as it lets them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.node_bench.choices import OwnTier, Peer
from mripacs.core.logging import configure_logging
from mripacs.core.settings import LogSettings

if TYPE_CHECKING:
    from mripacs.cli.node_bench.busy import Busy
    from mripacs.cli.node_bench.servers import Running

HEALTH_PATH = "/healthz"
COLUMNS = ("server", "request", "answered", "failed", "p50 ms", "p99 ms", "longest ms")


def busy(
    folders: Annotated[list[Path], typer.Argument(help="Folders of DICOM files.")],
    peer: Annotated[list[Peer] | None, typer.Option(help="Other servers, after ours.")] = None,
    tier: Annotated[OwnTier, typer.Option(help="Tier of ours.")] = OwnTier.KWAVELET,
    associations: Annotated[int, typer.Option(min=1, help="That store at once.")] = 16,
    seconds: Annotated[float, typer.Option(min=1, help="For how long.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """C-ECHO over a new and a kept association, and the health page, under full ingest into a throw-away archive.

    The machine is shared with the senders. The node is held to 200 ms for 99 in 100 answers.
    """
    configure_logging(LogSettings(level="ERROR"))
    from mripacs.cli.node_bench import servers, usage  # noqa: PLC0415 - `mripacs --help` stays light
    from mripacs.cli.node_bench.busy import measure  # noqa: PLC0415
    from mripacs.cli.node_bench.sink import MoveSink  # noqa: PLC0415

    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="mripacs-busy-") as folder, MoveSink() as sink:
        with servers.our_node(Path(folder) / "ours", sink, tier) as ours:
            done = measure(ours, folders, associations, seconds, HEALTH_PATH)
            rows.append(_row(ours, done, usage.peak_bytes(ours.pid)))
        for each in dict.fromkeys(peer or ()):
            with servers.PEERS[each](Path(folder) / each, sink) as other:
                done = measure(other, folders, associations, seconds, None)
                rows.append(_row(other, done, usage.peak_bytes(other.pid)))
    if as_json:
        print_json({"associations": associations, "seconds": seconds, "servers": rows})
        return
    print_table("Answers under full ingest", COLUMNS, [cells for row in rows for cells in _cells(row)])
    for row in rows:
        print(f"{row['server']}: {row['stored']} instances, {row['per_second']:.1f} a second, {row['refused']} refused")


def _row(server: Running, done: Busy, peak_bytes: int) -> dict[str, object]:
    requests = {
        name: {
            "answered": len(answers.seconds),
            "failed": answers.failed,
            "p50_ms": answers.quantile(0.5) * 1000,
            "p99_ms": answers.quantile(0.99) * 1000,
            "longest_ms": answers.quantile(1.0) * 1000,
        }
        for name, answers in done.answers.items()
    }
    return {
        "server": server.name,
        "stored": done.stored,
        "refused": done.refused,
        "per_second": done.stored / done.seconds,
        "peak_memory_bytes": peak_bytes,
        "requests": requests,
    }


def _cells(row: dict[str, object]) -> list[list[str]]:
    requests = row["requests"]
    if not isinstance(requests, dict):
        return []
    return [
        [
            str(row["server"]),
            name,
            *(f"{value:.1f}" if isinstance(value, float) else str(value) for value in of.values()),
        ]
        for name, of in requests.items()
    ]
