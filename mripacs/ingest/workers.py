"""Codec processes: they keep the association threads free of numba's and numpy's work, and die alone."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Protocol, TypeVar, cast

from mripacs.core.errors import MripacsError, StoreUnavailableError, WorkerLostError

log = logging.getLogger(__name__)
Job = TypeVar("Job")
Result = TypeVar("Result")

PATIENCE_S = 10.0  # loading the compiled codec takes 1 to 3 s; longer means that it is being compiled
GIVES_WAY = 10  # nice value: whoever waits for an acknowledgement or an answer goes before what is compressed behind
ATTEMPTS = 3  # a worker may also die of something else than its job
END_S = 10.0  # a process that has no job ends at once


class Workers(Protocol):
    """Runs a function of one argument somewhere and gives its result."""

    @property
    def count(self) -> int:
        """How many functions run at once; 0 when the caller's threads do the work."""

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Call `function(job)`; raises WorkerLostError if every attempt lost its worker, else what it raises."""

    def wait_until_ready(self) -> None:
        """Return when a job would start at once."""

    def close(self) -> None:
        """Let no process behind."""


class InCaller:
    """No processes: the caller's own thread does the work. For scripts, tests and single imports."""

    count = 0

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Call `function(job)` here."""
        return function(job)

    def wait_until_ready(self) -> None:
        """Nothing to wait for: the codec is loaded, the first time compiled, when the first image needs it."""

    def close(self) -> None:
        """Nothing to end."""


class ProcessWorkers:
    """Up to `count` processes that compile or load the codec before they take a job.

    Processes are spawned, not forked: the node has threads, and a fork of a threaded process can deadlock. They are
    started one by one as jobs find none idle, so the first compiles and the others load what it compiled. Each has a
    pipe, and the thread that brings a job waits at it: concurrent.futures' pool has two threads between, which took
    4 ms of the node's interpreter for each object, and all jobs are lost with one process.
    """

    def __init__(self, count: int, warm_up: Callable[[], object]) -> None:
        self.count = count
        self._warm_up = warm_up
        self._changed = threading.Condition()
        self._idle: list[_Worker] = []
        self._alive = 0  # those that start, too
        self._failed_starts = 0
        self._was_ready = False
        self._closed = False
        with self._changed:
            self._start_another()

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Call `function(job)` in a worker; under one that dies it is tried again in another.

        Raises StoreUnavailableError after `close`.
        """
        call = bytes(ForkingPickler.dumps((function, job)))
        for _ in range(ATTEMPTS):
            worker = self._take()
            if worker is None:
                continue
            try:
                done, result = worker.run(call)
            except (EOFError, OSError):
                log.warning("a codec process died; starting new ones")
                self._lose(worker)
                continue
            except BaseException:  # its answer may still come, and must not be taken for another job's
                self._lose(worker)
                raise
            self._give_back(worker)
            if done:
                return cast("Result", result)
            raise result
        raise WorkerLostError(f"codec processes died {ATTEMPTS} times under the same object")

    def wait_until_ready(self) -> None:
        """Return when the first process can code, so that no peer's time-out runs while the codec is compiled."""
        with self._changed:
            if not self._changed.wait_for(self._has_started, timeout=PATIENCE_S):
                log.warning("compiling the codec, once on this machine: about a minute")
            self._changed.wait_for(self._has_started)
            if not self._was_ready:
                log.error("the codec processes do not start: objects will be kept without them")

    def close(self) -> None:
        """End the processes; jobs under way are finished."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._alive:
                self._changed.wait_for(lambda: self._idle or not self._alive)
                while self._idle:
                    self._idle.pop().end()
                    self._alive -= 1

    def _has_started(self) -> bool:
        return self._was_ready or self._failed_starts > 0

    def _take(self) -> _Worker | None:
        """An idle worker; None when one died at its start while this was waited for."""
        with self._changed:
            failed = self._failed_starts
            while True:
                if self._closed:  # no fault of the object's, which must not be kept in another way for it
                    raise StoreUnavailableError("the codec processes have ended: the node is stopping")
                while self._idle:
                    worker = self._idle.pop()
                    if worker.is_alive():
                        return worker
                    log.warning("a codec process died; starting new ones")
                    worker.end()
                    self._alive -= 1
                if self._failed_starts != failed:
                    return None
                if self._alive < self.count and (self._was_ready or not self._alive):
                    self._start_another()
                self._changed.wait()

    def _give_back(self, worker: _Worker) -> None:
        with self._changed:
            self._idle.append(worker)
            self._changed.notify_all()

    def _lose(self, worker: _Worker) -> None:
        worker.end()
        with self._changed:
            self._alive -= 1
            self._changed.notify_all()

    def _start_another(self) -> None:
        self._alive += 1
        threading.Thread(target=self._start, name="codec process starts", daemon=True).start()

    def _start(self) -> None:
        worker = None
        try:
            worker = _Worker(self._warm_up)
            worker.wait_until_ready()
        except Exception as error:  # noqa: BLE001 - whoever waits for a process must learn that there is none
            log.warning("a codec process does not start: %s", type(error).__name__)
            if worker is not None:
                worker.end()
            with self._changed:
                self._alive -= 1
                self._failed_starts += 1
                self._changed.notify_all()
            return
        with self._changed:
            self._was_ready = True
        self._give_back(worker)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, warm_up: Callable[[], object]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, warm_up), name="mripacs-codec", daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    def wait_until_ready(self) -> None:
        """Return when it takes a job. Raises EOFError when it ends instead."""
        self._pipe.recv()

    def is_alive(self) -> bool:
        """Whether it was not killed while it had nothing to do."""
        return self._process.is_alive()

    def run(self, call: bytes) -> tuple[bool, Any]:
        """Whether a pickled function and job returned, and what it returned or raised.

        Raises EOFError or OSError if it died.
        """
        self._pipe.send_bytes(call)
        done, result = self._pipe.recv()
        return done, result

    def end(self) -> None:
        """It ends once its pipe does."""
        self._pipe.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def start_workers(count: int, warm_up: Callable[[], object]) -> Workers:
    """`count` processes, or none for 0."""
    return ProcessWorkers(count, warm_up) if count else InCaller()


def load_codec() -> None:
    """In a worker: load what jobs run, and compile or load the codec, before the first object waits for it."""
    from mripacs import codec  # noqa: PLC0415 - numba loads only where pixels are coded
    from mripacs.dicom import walking  # noqa: PLC0415 - as above
    from mripacs.ingest import compress  # noqa: F401, PLC0415 - as above

    os.nice(GIVES_WAY)
    codec.warm_up()
    walking.load()


def _serve(pipe: Connection, warm_up: Callable[[], object]) -> None:
    """In a worker: jobs, until the node closes the pipe."""
    _initialise(warm_up)
    pipe.send(None)
    while True:
        try:
            function, job = pipe.recv()
        except EOFError:
            return
        try:
            outcome: tuple[bool, Any] = (True, function(job))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            outcome = (False, error)
        del job
        pipe.send(outcome)


def _initialise(warm_up: Callable[[], object]) -> None:
    """In a new worker: leave Ctrl-C to the node, end when the node is gone, even killed, and load the codec."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        warm_up()
    except MripacsError as error:  # every job will meet it again and fall back to a tier that works
        log.error("the codec does not start: %s", error)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
