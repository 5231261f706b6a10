"""Medians and ratios of a trial: as rows of JSON, and as cells of a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from mripacs.cli.node_bench.trial import Measured, Trial

Row = dict[str, object]


def operation_rows(trial: Trial, ours: Sequence[str], peers: Sequence[str]) -> list[Row]:
    """A row for each operation: medians of each server, and how many times faster ours is than each peer.

    Ratios are medians of the rounds' ratios, since what disturbs a machine disturbs neighbours in time alike.
    """
    rows: list[Row] = []
    for name, by_server in trial.measured.items():
        row: Row = {"operation": name}
        row["servers"] = {server: _figures(measured) for server, measured in by_server.items()}
        row["ratios"] = {
            f"{own} / {peer}": _ratio(by_server[peer], by_server[own])
            for own in ours
            for peer in peers
            if own in by_server and peer in by_server
        }
        rows.append(row)
    return rows


def server_rows(trial: Trial, bytes_on_disk: Mapping[str, int]) -> list[Row]:
    """A row for each server: peak memory, processor time, and bytes on disk with everything counted."""
    return [
        {
            "server": server,
            "peak_memory_bytes": trial.peak_bytes[server],
            "cpu_seconds": sum(sum(each[server].cpu_seconds) for each in trial.measured.values() if server in each),
            "instances": trial.stored[server],
            "bytes_on_disk": on_disk,
            "bytes_per_instance": on_disk / max(1, trial.stored[server]),
        }
        for server, on_disk in bytes_on_disk.items()
    ]


def operation_cells(rows: Sequence[Row], servers: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Columns and cells: instances a second where instances move, milliseconds for queries, then the ratios."""
    ratios = list(dict.fromkeys(name for row in rows for name in _inner(row, "ratios")))
    cells = []
    for row in rows:
        figures, factors = _inner(row, "servers"), _inner(row, "ratios")
        shown = [_shown(figures[server]) if server in figures else "-" for server in servers]
        cells.append(
            [str(row["operation"]), *shown, *(f"{factors[name]:.2f}" if name in factors else "-" for name in ratios)]
        )
    return ["operation", *servers, *ratios], cells


def _figures(measured: Measured) -> Row:
    per_item = [seconds / items for seconds, items in zip(measured.seconds, measured.items, strict=True)]
    cpu = [seconds / items for seconds, items in zip(measured.cpu_seconds, measured.items, strict=True)]
    settled = [seconds / items for seconds, items in zip(measured.settled_seconds, measured.items, strict=False)]
    return {
        "items": statistics.median(measured.items),
        "ms_per_item": 1000 * statistics.median(per_item),
        "cpu_ms_per_item": 1000 * statistics.median(cpu),
        "settled_ms_per_item": 1000 * statistics.median(settled) if settled else None,
        "seconds": measured.seconds,
        "cpu_seconds": measured.cpu_seconds,
    }


def _ratio(theirs: Measured, ours: Measured) -> float:
    return statistics.median(their / our for their, our in zip(theirs.seconds, ours.seconds, strict=True))


def _shown(figures: Mapping[str, float]) -> str:
    ms = figures["ms_per_item"]
    return f"{1000 / ms:.0f} /s" if figures["items"] > 1 else f"{ms:.1f} ms"


def _inner(row: Row, name: str) -> dict[str, dict[str, float]]:
    found = row[name]
    return found if isinstance(found, dict) else {}
