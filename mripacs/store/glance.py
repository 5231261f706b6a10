"""One row of the index, looked up without waiting for anybody: on SQLite, by the driver itself.

A viewer that scrolls asks for a row with each frame. What SQLAlchemy does for one (a connection of the pool, a
transaction, a result) takes 0.14 ms of 0.17; the statement takes 0.01, and the identity 0.02. So one connection is held
for this alone, outside the pool. Nothing is remembered between two looks: what any process deleted, replaced or put in
quarantine, the next look sees.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection, Select
from sqlalchemy.exc import SQLAlchemyError

from mripacs.store.driver_form import driver_form
from mripacs.store.engine import file_identity
from mripacs.store.reading import Row


class Glance:
    """Runs one statement of one parameter. Thread-safe.

    `look` never opens a connection, waits for no lock of the database, and reads a page or two: it may be called where
    nothing may wait. What it cannot say must be asked in the usual way, which should `open` first.
    """

    def __init__(self, engine: Engine, statement: Select[Any]) -> None:
        """statement : with one bound parameter."""
        self._engine = engine
        self._path = Path(engine.url.database or "").absolute()  # as the engine's connections open it
        self._form = driver_form(statement) if engine.dialect.name == "sqlite" else None
        self._lock = threading.Lock()
        self._held: PoolProxiedConnection | None = None
        self._file: tuple[int, int] | None = None  # that the connection opened
        self._usable = False

    def look(self, value: str) -> Row | None:
        """The first row of the statement; None where there is none, and where this is not the way to find out."""
        with self._lock:
            connection = self._held.dbapi_connection if self._held and self._usable else None
            if connection is None or self._form is None:
                return None
            sql, (parameter,), columns = self._form
            if file_identity(self._path) != self._file:  # moved, deleted or replaced
                self._usable = False
                return None
            try:
                found = connection.cursor().execute(sql, (parameter.stored(value),))
                rows = found.fetchall()  # all: that ends the statement's view
            except sqlite3.Error:  # locked, damaged, no disk: whoever asks in the usual way gets its error
                self._usable = False
                return None
        if not rows:
            return None
        return {name: read(each) for (name, read), each in zip(columns, rows[0], strict=True)}

    def open(self) -> None:
        """Have a connection from now on, where there is a way to have one. May wait."""
        if self._usable or self._form is None:
            return
        file = file_identity(self._path)
        try:
            held = _connected(self._engine)
        except (SQLAlchemyError, sqlite3.Error):  # the usual way says what is wrong
            return
        with self._lock:
            spare, self._held, self._file, self._usable = self._held, held, file, True
        _close(spare)

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            spare, self._held, self._usable = self._held, None, False
        _close(spare)


def _connected(engine: Engine) -> PoolProxiedConnection:
    """A connection of one's own, set up as all of the engine's are, that waits for no lock."""
    held = engine.raw_connection()
    held.detach()
    held.cursor().execute("PRAGMA busy_timeout=0")
    return held


def _close(held: PoolProxiedConnection | None) -> None:
    if held is not None:
        held.close()
