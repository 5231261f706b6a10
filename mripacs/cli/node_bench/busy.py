"""How soon a server answers small requests while many associations store as fast as it lets them.

The senders are a process of their own: in one process with them, a probe would measure how long it waits for its own
interpreter.
"""

from __future__ import annotations

import http.client
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mripacs.cli.node_bench import scu
from mripacs.cli.node_bench.samples import Samples
from mripacs.cli.node_bench.scu import Entity
from mripacs.cli.node_bench.servers import Running
from mripacs.core.errors import PeerError

BATCH = 20  # instances of one association
FILES = 100  # real ones, copied
PAUSE_S = 0.02  # between two rounds of probes
START_S, STOP_S = 120.0, 60.0
BAR_S = 0.2  # p99 that a node under full ingest is held to


@dataclass(slots=True)
class Answers:
    """Seconds until an answer, of each probe of a kind; and probes that failed."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def quantile(self, share: float) -> float:
        """The time that `share` of the probes took at most; 0 where none was answered."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Busy:
    """What happened in the time."""

    seconds: float
    stored: int
    refused: int  # associations that ended with anything but success
    answers: dict[str, Answers]


def measure(
    server: Running, folders: Sequence[Path], associations: int, seconds: float, health_path: str | None
) -> Busy:
    """Store over `associations` at once for `seconds`, and probe meanwhile.

    health_path : what the web door is asked; None leaves it out. Raises PeerError when the senders do not start.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    senders = context.Process(target=_store, args=(theirs, server.entity, folders, associations), daemon=True)
    senders.start()
    theirs.close()  # so that the end of the senders is seen
    try:
        _told(ours, START_S, "the senders do not start")
        began = time.perf_counter()
        answers = _probe(server, health_path, began + seconds)
        took = time.perf_counter() - began
        ours.send("stop")
        stored, refused = _told(ours, STOP_S, f"{server.name} still keeps senders waiting after {STOP_S:.0f} s")
    finally:
        senders.terminate()
        senders.join()
    return Busy(took, stored, refused, answers)


def _told(pipe: Connection, seconds: float, otherwise: str) -> Any:
    """What the senders say next. Raises PeerError when they say nothing, or have ended."""
    try:
        if pipe.poll(seconds):
            return pipe.recv()
    except EOFError as error:
        raise PeerError("the senders ended: are there files of one series of two?") from error
    raise PeerError(otherwise)


def _probe(server: Running, health_path: str | None, end: float) -> dict[str, Answers]:
    with scu.kept(server.entity) as kept:
        probes: dict[str, Callable[[], object]] = {
            "C-ECHO, new association": lambda: scu.echo(server.entity),
            "C-ECHO, kept association": lambda: scu.echo_over(kept),
        }
        if health_path is not None and server.web_port is not None:
            port = server.web_port
            probes[f"GET {health_path}"] = lambda: _get(port, health_path)
        answers = {name: Answers() for name in probes}
        while time.perf_counter() < end:
            for name, probe in probes.items():
                _ask(probe, answers[name])
            time.sleep(PAUSE_S)
    return answers


def _ask(probe: Callable[[], object], answers: Answers) -> None:
    began = time.perf_counter()
    try:
        probe()
    except (PeerError, OSError, http.client.HTTPException):
        answers.failed += 1
    else:
        answers.seconds.append(time.perf_counter() - began)


def _get(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STOP_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise PeerError(f"GET {path} answers {answer.status}")
    finally:
        connection.close()


def _store(pipe: Connection, entity: Entity, folders: Sequence[Path], associations: int) -> None:
    """The senders' process: says when it begins, ends when it is told to, and tells what it did."""
    samples = Samples(folders, FILES, BATCH, 1)
    taking, ended = threading.Lock(), threading.Event()

    def send() -> tuple[int, int]:
        stored = refused = 0
        while not ended.is_set():
            with taking:
                batch = samples.mixed()
            try:
                scu.store(entity, batch, 1)
                stored += len(batch)
            except (PeerError, OSError):
                refused += 1
        return stored, refused

    pipe.send("ready")
    with ThreadPoolExecutor(associations) as threads:
        running = [threads.submit(send) for _ in range(associations)]
        with suppress(EOFError):  # the other end has gone
            pipe.recv()
        ended.set()
        counts = [each.result() for each in running]
    pipe.send((sum(stored for stored, _ in counts), sum(refused for _, refused in counts)))
