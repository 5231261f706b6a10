"""An open database: its connections, transactions and locks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine

from mripacs.core.errors import StoreUnavailableError
from mripacs.store import migrate
from mripacs.store.engine import BUSY_TIMEOUT_S, SNAPSHOT, WRITES, open_engine, parse_url, prepare_file, require_file
from mripacs.store.failures import translated


class Turns:
    """Writers of one process, one after the other.

    A writer that waits for longer than another process may hold the database gives up: behind one that is kept out,
    the sixteenth of sixteen associations would be answered after as many times that long.
    """

    def __init__(self, wait_s: float = BUSY_TIMEOUT_S) -> None:
        self._wait_s = wait_s
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._wait_s):
            raise StoreUnavailableError(f"other writers have held the database for {self._wait_s:.0f} s")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Database:
    """Connections to one database. `open` makes one; it is a context manager.

    A reading transaction sees one state of all rows. On SQLite writers of this process queue on a lock.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**SNAPSHOT[engine.dialect.name])  # the same connections
        self._writer = engine.execution_options(**{WRITES: True})
        self._write_lock: AbstractContextManager[Any] = Turns() if engine.dialect.name == "sqlite" else nullcontext()

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
        empty = migrate.is_empty(connection)
    if empty and create:
        migrate.upgrade(url.render_as_string(hide_password=False))
    with translated(), engine.connect() as connection:
        migrate.require_head(connection, url)
