"""The rounds: every server does each operation before the next operation begins, in an order that turns."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from mripacs.cli.node_bench import usage
from mripacs.cli.node_bench.operations import OPERATIONS, Asked, Operation, Round, prepare
from mripacs.cli.node_bench.samples import Samples
from mripacs.cli.node_bench.servers import Running
from mripacs.cli.node_bench.sink import MoveSink
from mripacs.cli.web_peers import connection

SETTLE_POLL_S = 0.1


@dataclass(slots=True)
class Measured:
    """One server's figures for one operation, a value a round."""

    items: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    settled_seconds: list[float] = field(default_factory=list)  # until all that came was compressed; storing only


@dataclass(slots=True)
class Trial:
    """All figures: by operation and server, and of each server as a whole."""

    measured: dict[str, dict[str, Measured]] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    stored: Counter[str] = field(default_factory=Counter)  # instances by server


def run(
    servers: Sequence[Running],
    samples: Samples,
    sink: MoveSink,
    rounds: int,
    track: Callable[[Iterable[int]], Iterable[int]],
) -> Trial:
    """Measure. A first round is thrown away: connections, caches and compiled code are warm afterwards."""
    trial = Trial()
    with ExitStack() as connections:
        asked = [
            Asked(server, connections.enter_context(connection(server.web_port)) if server.web_port else None, sink)
            for server in servers
        ]
        for number in track(range(rounds + 1)):
            _round(trial, asked, Round.of(samples), number)
    trial.peak_bytes = {server.name: usage.peak_bytes(server.pid) for server in servers}
    return trial


def _round(trial: Trial, asked: Sequence[Asked], what: Round, number: int) -> None:
    for one in asked:
        trial.stored[one.server.name] += prepare(one, what)
        _settle(one)
    turn = number % len(asked)
    for operation in OPERATIONS:
        for one in [*asked[turn:], *asked[:turn]]:
            if operation.suits(one):
                _measure(trial, one, operation, what, counts=number > 0)
                trial.stored[one.server.name] += operation.items(what) if operation.stores else 0


def _measure(trial: Trial, one: Asked, operation: Operation, what: Round, *, counts: bool) -> None:
    before = usage.cpu_seconds(one.server.pid)
    seconds = operation.run(one, what)
    settled = seconds + (_settle(one) if operation.stores else 0.0)
    cpu = (usage.cpu_seconds(one.server.pid) - before) / operation.repeats
    if counts:
        measured = trial.measured.setdefault(operation.name, {}).setdefault(one.server.name, Measured())
        measured.items.append(operation.items(what))
        measured.seconds.append(seconds)
        measured.cpu_seconds.append(cpu)
        if operation.stores:
            measured.settled_seconds.append(settled)


def _settle(one: Asked) -> float:
    """Wait until the server owes no work, which would run while others are measured; the seconds that took."""
    began = time.perf_counter()
    while one.server.waiting():
        time.sleep(SETTLE_POLL_S)
    return time.perf_counter() - began
