"""Codec processes: they keep the association threads free of numba's and numpy's work, and die alone."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, wait
from typing import Protocol, TypeVar

from mripacs.core.errors import MripacsError, WorkerLostError

log = logging.getLogger(__name__)
Job = TypeVar("Job")
Result = TypeVar("Result")

PATIENCE_S = 10.0  # loading the compiled codec takes 1 to 3 s; longer means that it is being compiled
GIVES_WAY = 10  # nice value: whoever waits for an acknowledgement or an answer goes before what is compressed behind
ATTEMPTS = 3  # a worker that dies takes its pool along, and with it the jobs of others: they get another try


class Workers(Protocol):
    """Runs a function of one argument somewhere and gives its result."""

    @property
    def count(self) -> int:
        """How many functions run at once; 0 when the caller's threads do the work."""

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Call `function(job)`; raises WorkerLostError if every attempt lost its worker."""

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
    """A pool of `count` processes that compile or load the codec before they take a job.

    Processes are spawned, not forked: the node has threads, and a fork of a threaded process can deadlock. The pool
    starts them one by one as jobs find none idle, so the first compiles and the others load what it compiled.
    """

    def __init__(self, count: int, warm_up: Callable[[], object]) -> None:
        self.count = count
        self._warm_up = warm_up
        self._lock = threading.Lock()
        self._pool = self._start()

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Call `function(job)` in a worker; a pool broken by a dying worker is replaced and the job tried again."""
        for _ in range(ATTEMPTS):
            pool = self._pool
            try:
                return pool.submit(function, job).result()
            except BrokenExecutor:
                log.warning("a codec process died; starting new ones")
                self._replace(pool)
        raise WorkerLostError(f"codec processes died {ATTEMPTS} times under the same object")

    def wait_until_ready(self) -> None:
        """Return when the first process can code, so that no peer's time-out runs while the codec is compiled."""
        if not wait([self._first], timeout=PATIENCE_S).done:
            log.warning("compiling the codec, once on this machine: about a minute")
        try:
            self._first.result()
        except BrokenExecutor:
            log.error("the codec processes do not start: objects will be kept without them")

    def close(self) -> None:
        """End the processes; jobs under way are finished."""
        with self._lock:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self.count, mp_context=context, initializer=_initialise, initargs=(self._warm_up,))
        self._first = pool.submit(_nothing)
        return pool

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                broken.shutdown(wait=False)
                self._pool = self._start()


def start_workers(count: int, warm_up: Callable[[], object]) -> Workers:
    """`count` processes, or none for 0."""
    return ProcessWorkers(count, warm_up) if count else InCaller()


def load_codec() -> None:
    """In a worker: load what jobs run, and compile or load the codec, before the first object waits for it."""
    from mripacs import codec  # noqa: PLC0415 - numba loads only where pixels are coded
    from mripacs.ingest import compress  # noqa: F401, PLC0415 - as above

    os.nice(GIVES_WAY)
    codec.warm_up()


def _nothing() -> None:
    """A job that is done as soon as a process is ready for jobs."""


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
