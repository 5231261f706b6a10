"""Writes of several threads in one transaction: one sync to the disk for all of them.

Whoever finds nobody committing takes all writes that have gathered and commits them; the others find theirs done. Only
on SQLite, where one transaction writes at a time: PostgreSQL's commits run side by side and share syncs by themselves,
and a transaction over several studies could deadlock with another node's.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from mripacs.core.errors import StoreError, StoreUnavailableError
from mripacs.store.failures import is_busy

Result = TypeVar("Result")
MOST = 32  # writes of one transaction: readers of SQLite's log and the last of them wait for all


class Together:
    """Runs writes, several in a transaction where that helps. Thread-safe."""

    def __init__(self, writing: Callable[[], AbstractContextManager[Connection]], *, joins: bool) -> None:
        """writing : begins a transaction. joins : whether writes of several threads may share one."""
        self._writing = writing
        self._joins = joins
        self._gathered: deque[_Write[Any]] = deque()
        self._committing = threading.Lock()

    def run(self, write: Callable[[Connection], Result]) -> Result:
        """What `write` gives, once it is committed. It may be called twice, in any thread, and must only use the
        connection: a transaction that another write broke is done again.

        Raises what `write` or the commit raises; then nothing of it was written.
        """
        if not self._joins:
            with self._writing() as connection:
                return write(connection)
        own = _Write(write)
        self._gathered.append(own)
        while not own.ended:
            with self._committing:
                if not own.ended:
                    self._carry_out([self._gathered.popleft() for _ in range(min(MOST, len(self._gathered)))])
        if own.error is not None:
            raise own.error
        return own.result

    def _carry_out(self, writes: list[_Write[Any]]) -> None:
        try:
            self._commit(writes)
        finally:  # nobody waits for ever for what was interrupted; it may be committed
            unended = [each for each in writes if not each.ended]
            self._fail(unended, StoreUnavailableError("the write was interrupted"))

    def _commit(self, writes: list[_Write[Any]]) -> None:
        try:
            with self._writing() as connection:
                for each in writes:
                    each.result = each.write(connection)
        except StoreError as error:  # the database's: it would meet each of them
            if is_busy(error):  # so it would those that waited behind them: nobody waits twice as long
                writes += [self._gathered.popleft() for _ in range(len(self._gathered))]
            self._fail(writes, error)
        except Exception as error:  # noqa: BLE001 - one write's: the others are done without it
            if len(writes) == 1:
                self._fail(writes, error)
            else:
                for each in writes:
                    self._commit([each])
        else:
            for each in writes:
                each.ended = True

    @staticmethod
    def _fail(writes: list[_Write[Any]], error: BaseException) -> None:
        for each in writes:
            each.error = error
            each.ended = True


class _Write(Generic[Result]):
    """One write, and what became of it."""

    def __init__(self, write: Callable[[Connection], Result]) -> None:
        self.write = write
        self.result: Result
        self.error: BaseException | None = None
        self.ended = False
