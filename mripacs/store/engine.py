"""Engines: how each database is opened so that a commit is durable, and how transactions begin.

SQLite: write-ahead log with synchronous=FULL, so a commit returns after fsync; writers begin with BEGIN IMMEDIATE,
because a read lock that is upgraded later can fail at once with "locked". PostgreSQL: synchronous_commit is asked for
by name, should the server's default be off.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from mripacs.core.errors import SettingsError, StoreUnavailableError

SNAPSHOT = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ"},
}  # a transaction sees one state of all rows
# How long a writer waits for another process's transaction, and before that for the writers of its own process: half
# of the 30 s after which many senders give up.
BUSY_TIMEOUT_S = 15
CONNECT_TIMEOUT_S = 10  # to a PostgreSQL server
SILENCE_TIMEOUT_S = 30  # of a PostgreSQL server that has vanished from the network
POOL_CONNECTIONS = 8  # kept open
POOL_OVERFLOW = 56  # opened on demand: one per association and some for queries
DAMAGED_JSON: dict[str, Any] = {"": "damaged"}  # no attribute and no field of a certificate has an empty name
FILE = "mripacs_file"  # in a connection's info: which file it opened
_INCREMENTAL = 2  # as SQLite numbers its kinds of automatic vacuum
# Pages of 4 KB in SQLite's log before a commit moves them into the file, 32 MB. Objects of 200 KB, four a commit, take
# 0.53 ms each so, 0.94 with SQLite's own 1000; when nothing comes in, `space.free` moves them earlier.
CHECKPOINT_PAGES = 8000
WRITES = "mripacs_writes"  # execution option of connections that will write


def parse_url(url: str) -> URL:
    """The URL with its driver; raises SettingsError unless it names an SQLite file or a PostgreSQL database."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("the database URL cannot be parsed; expected sqlite:///FILE or postgresql://...") from error
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("sqlite", "sqlite+pysqlite") and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    raise SettingsError(f"database {parsed.render_as_string()}: expected sqlite:///FILE or postgresql://USER@HOST/NAME")


def open_engine(url: URL, *, foreign_keys: bool = True) -> Engine:
    """An engine on the database; connects at the first use.

    foreign_keys : False only for migrations, where SQLite rebuilds tables by dropping the old ones.
    """
    return _OPENERS[url.get_backend_name()](url, foreign_keys)


def prepare_file(url: URL) -> None:
    """Make the folder (0700) and the empty file (0600) of an SQLite database that is not there yet.

    A file that is there is not touched: to open and close it drops the locks that connections of this process hold on
    it (POSIX), and the next process that closes the database takes itself for the last and deletes the log under us.
    """
    if url.get_backend_name() != "sqlite":
        return
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreUnavailableError(f"database file {path} cannot be opened: {error.strerror}") from error


def require_file(url: URL) -> None:
    """Raise StoreUnavailableError if the URL names an SQLite file that does not exist: connecting would make it."""
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise StoreUnavailableError(f"there is no database at {url.database}")


def _open_sqlite(url: URL, foreign_keys: bool) -> Engine:
    path = Path(str(url.database)).absolute()
    engine = create_engine(
        url,
        creator=partial(_connect, path),
        json_serializer=compact_json,
        json_deserializer=read_json,
        pool_size=POOL_CONNECTIONS,
        max_overflow=POOL_OVERFLOW,
    )
    pragmas = (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
    )

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, record: Any) -> None:
        record.info[FILE] = file_identity(path)
        connection.isolation_level = None  # the driver must not begin transactions of its own
        connection.text_factory = _read_text
        _set_auto_vacuum(connection)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "checkout")
    def _require_same_file(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info[FILE] != file_identity(path):
            raise DisconnectionError("the database file was moved, deleted or replaced")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _set_auto_vacuum(connection: sqlite3.Connection) -> None:
    """Of a new file (mripacs.store.space). To set it takes the writers' lock, even where nothing changes: a reader that
    needs one connection more must not wait for whoever writes.
    """
    if connection.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL").close()


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file, which must be there: one that is away for a while must not be taken for an empty archive."""
    uri = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Which file the path names now. Open connections follow a file that is moved or deleted, and lose what is written.

    A call takes 2 µs, a commit a thousand times as long.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open_postgresql(url: URL, _foreign_keys: bool) -> Engine:
    return create_engine(
        url,
        json_serializer=compact_json,
        json_deserializer=read_json,
        pool_size=POOL_CONNECTIONS,
        max_overflow=POOL_OVERFLOW,
        pool_pre_ping=True,  # a restarted server costs no instance
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": SILENCE_TIMEOUT_S * 1000,  # ms
            **url.query,  # what the site's URL says goes before these
            # Rows come through cursors, of which PostgreSQL believes that a tenth is read: it looked for a name that
            # nobody has in every study, 5.4 ms of 10 000 studies instead of 0.1.
            "options": "-c synchronous_commit=on -c cursor_tuple_fraction=1",
        },
    )


_OPENERS: dict[str, Callable[[URL, bool], Engine]] = {"sqlite": _open_sqlite, "postgresql": _open_postgresql}


def compact_json(value: Any) -> str:
    """JSON without blanks, in code points: the columns are read by people too."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_json(text: str | bytes) -> dict[str, Any]:
    """A JSON object; DAMAGED_JSON for what is none, so that the row can still be read and named by a digest's check."""
    try:
        value = json.loads(text)
    except ValueError:
        return DAMAGED_JSON
    return value if isinstance(value, dict) else DAMAGED_JSON


def _read_text(stored: bytes) -> str:
    """SQLite's text; bytes that are no UTF-8 become U+FFFD, and a row's digest tells."""
    return stored.decode("utf-8", "replace")
