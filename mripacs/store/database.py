"""An open database: its connections, transactions and locks."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine

from mripacs.core.errors import StoreUnavailableError
from mripacs.store.engine import BUSY_TIMEOUT_S, SNAPSHOT, WRITES, open_engine, parse_url, prepare_file, require_file
from mripacs.store.failures import is_busy, translated
from mripacs.store.revision import is_empty, require_head
from mripacs.store.together import Together


class Turns:
    """Writers of one process, one after the other.

    When one of them was kept out by another process, those that queued behind it are refused with it, and none waits
    for its turn longer than that either: else the sixteenth of sixteen associations is answered after as many times
    that long, which no sender waits for.
    """

    def __init__(self, wait_s: float = BUSY_TIMEOUT_S) -> None:
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._kept_out = -math.inf  # when, by the monotonic clock

    def __enter__(self) -> None:
        start = time.monotonic()
        if not self._lock.acquire(timeout=self._wait_s):
            raise StoreUnavailableError(f"other writers have held the database for {self._wait_s:.0f} s")
        if self._kept_out > start:
            self._lock.release()
            raise StoreUnavailableError("the database is locked by another process, said a writer before")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and is_busy(error):
            self._kept_out = time.monotonic()
        self._lock.release()


class Database:
    """Connections to one database. `open` makes one; it is a context manager.

    A reading transaction sees one state of all rows. On SQLite writers of this process queue on a lock.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**SNAPSHOT[engine.dialect.name])  # the same connections
        self._writer = engine.execution_options(**{WRITES: True})
        alone = engine.dialect.name == "sqlite"
        self._write_lock: AbstractContextManager[Any] = Turns() if alone else nullcontext()
        self._together = Together(self._writing, joins=alone)

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Open `sqlite:///FILE` or `postgresql://...`; an empty database gets its tables if `create` is set.

        Raises SettingsError for another kind of URL, SchemaError for a database of another version, which names the
        command that mends it, and StoreUnavailableError when there is none and `create` is not set.
        """
        parsed = parse_url(url)
        (prepare_file if create else require_file)(parsed)
        engine = open_engine(parsed)
        try:
            _require_schema(engine, parsed, create=create)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Close all connections; SQLite's log is folded into the file."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with (
            translated(),
            self._write_lock,
            self._writer.begin() as connection,
        ):
            yield connection


def _require_schema(engine: Engine, url: URL, *, create: bool) -> None:
    """Make the tables of an empty database if that was asked for, then insist on this version's schema."""
    with translated(), engine.connect() as connection:
        empty = is_empty(connection)
    if empty and create:
        from mripacs.store import migrate  # noqa: PLC0415 - Alembic

        migrate.upgrade(url.render_as_string(hide_password=False))
    with translated(), engine.connect() as connection:
        require_head(connection, url)
