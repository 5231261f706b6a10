"""Threads that take turns at a listening socket: each waits for a connection, serves it, and waits again.

A thread for each connection took 0.12 ms of processor time to start, and two changes of threads by the clock: the one
that listened waited until the new one ran. Here nobody hands anything over; the system wakes one of those that wait.
One always waits. Up to `KEPT` wait for a while, so that a viewer's requests one after the other start no thread.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

KEPT = 8  # that wait at once, when associations have ended; each takes 20 KB
IDLE_S = 2.0  # that one waits while others do, before it ends
PAUSE_S = 0.1  # after an accept that failed, for want of files or memory
_CLOSED = frozenset({errno.EINVAL, errno.EBADF})  # of an accept whose socket was shut down, or closed
_NO_THREAD = (RuntimeError, MemoryError)  # of a start: the system's limit, or no memory for what a thread is made of
_TIMEVAL = struct.Struct("@ll")


def wait_briefly(listening: socket.socket) -> None:
    """Let accepts of a listening socket end after `IDLE_S`, by the system's time-out: of many that wait one wakes."""
    listening.settimeout(None)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(int(IDLE_S), int(IDLE_S % 1 * 1e6)))


def wait_long(accepted: socket.socket) -> None:
    """Take the time-out away that a connection has from its listening socket."""
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(0, 0))


class Crew:
    """Serves connections until the listening socket is closed.

    accept : waits for a connection; raises BlockingIOError when none came for a while, OSError when it cannot.
    serve : what is done with one. Raises nothing.
    """

    def __init__(self, accept: Callable[[], Any], serve: Callable[[Any], None]) -> None:
        self._accept, self._serve = accept, serve
        self._waiting = 0
        self._lock = threading.Lock()

    def engage(self) -> None:
        """Start one more thread. Raises RuntimeError when the system gives none, MemoryError without memory for it."""
        with self._lock:
            self._waiting += 1
        try:
            threading.Thread(target=self._work, name="association", daemon=True).start()
        except _NO_THREAD:
            with self._lock:
                self._waiting -= 1
            raise

    def _work(self) -> None:
        while (accepted := self._next()) is not None:
            self._leave()
            self._serve(accepted)
            with self._lock:
                if self._waiting >= KEPT:
                    return
                self._waiting += 1

    def _next(self) -> Any:
        """The next connection; None when this thread is to end."""
        while True:
            try:
                accepted = self._accept()
            except BlockingIOError:
                if self._may_end():
                    return None
            except OSError as error:
                if error.errno in _CLOSED:
                    return None
                _pause(error.strerror or error)
            except MemoryError:
                _pause("no memory")
            else:
                return accepted

    def _may_end(self) -> bool:
        with self._lock:
            others = self._waiting > 1
            self._waiting -= others
            return others

    def _leave(self) -> None:
        """The calling thread waits no longer; another does."""
        with self._lock:
            self._waiting -= 1
            alone = self._waiting == 0
        if alone:
            try:
                self.engage()
            except _NO_THREAD as error:
                log.error("nobody listens until an association ends: %s", str(error) or "no memory")


def _pause(why: object) -> None:
    log.error("no connection can be accepted: %s", why)
    time.sleep(PAUSE_S)
