"""`mripacs` that kills itself in the middle of a commit. Run as a program; nothing of what it runs is changed on disk.

The moment stands in the file that the environment variable KILL_WHEN names, as "POINT COUNT", for instance
"before commit 7"; while the file is not there, nothing happens. Python's workers import this module again and find
nothing to do. On SQLite the writes of the database library itself go through its own seam for tests, `xSetSystemCall`
(https://www.sqlite.org/c3ref/vfs.html), so that a page of the log can be left torn.
"""
# ruff: noqa: PLC0415 - the workers shall not load what only the node needs

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

KILL_WHEN = "KILL_WHEN"
SYSTEM_CALLS = {  # by name: arguments
    b"write": (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t),
    b"pwrite": (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64),
    b"pwrite64": (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64),
}


class Trigger:
    """Counts the moments that are passed since the file is there, and kills in the one that it names."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._passed = 0

    def is_now(self, point: str) -> bool:
        """Whether this is the moment."""
        try:
            wanted, _, count = self._path.read_text(encoding="ascii").rpartition(" ")
        except FileNotFoundError:
            return False
        if wanted != point:
            return False
        with self._lock:
            self._passed += 1
            return self._passed == int(count)

    def pull(self) -> None:
        """End here."""
        self._path.with_suffix(".pulled").touch()
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # the signal may reach another thread first


def watch_commits(trigger: Trigger) -> None:
    """Before, after, and with the COMMIT sent to a server that has not answered yet."""
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
    from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):

        def do_commit(self, connection, plain=dialect.do_commit):
            if trigger.is_now("before commit"):
                trigger.pull()
            if trigger.is_now("commit sent"):
                connection.driver_connection.pgconn.send_query(b"COMMIT")
                trigger.pull()
            plain(self, connection)
            if trigger.is_now("after commit"):
                trigger.pull()

        dialect.do_commit = do_commit


def watch_statements(trigger: Trigger) -> None:
    """After a statement that writes, with the transaction open."""
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "after_cursor_execute")
    def executed(_connection, _cursor, statement, *_):
        if statement.startswith(("INSERT", "UPDATE")) and trigger.is_now("statement"):
            trigger.pull()


class Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("iVersion", "szOsFile", "mxPathname")),
        *((name, ctypes.c_void_p) for name in ("pNext", "zName", "pAppData")),
        *((f"call{number}", ctypes.c_void_p) for number in range(13)),  # xOpen to xCurrentTimeInt64
        ("xSetSystemCall", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
    )


def watch_writes(trigger: Trigger) -> list[object]:
    """Half-way through a write of SQLite into its log or its database. The functions returned must be kept alive."""
    import _sqlite3

    library, libc = ctypes.CDLL(_sqlite3.__file__), ctypes.CDLL(None, use_errno=True)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
    library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    vfs = library.sqlite3_vfs_find(None)
    kept = []
    for name, types in SYSTEM_CALLS.items():
        plain = getattr(libc, name.decode())
        plain.restype, plain.argtypes = ctypes.c_ssize_t, types

        def write(file, data, size, *offset, plain=plain):
            if is_database(file) and trigger.is_now("write"):
                plain(file, data, size // 2, *offset)
                trigger.pull()
            return plain(file, data, size, *offset)

        function = ctypes.CFUNCTYPE(ctypes.c_ssize_t, *types, use_errno=True)(write)
        if vfs.contents.xSetSystemCall(ctypes.cast(vfs, ctypes.c_void_p), name, ctypes.cast(function, ctypes.c_void_p)):
            raise RuntimeError(f"this SQLite does not let {name.decode()} be replaced")
        kept.append(function)
    return kept


def is_database(file: int) -> bool:
    return Path(f"/proc/self/fd/{file}").readlink().suffix in (".db", ".db-wal")


def main() -> None:
    """For each line on standard input, fork a node (`mripacs` with our arguments); tell its process ID, then its end.

    Forked and with the codec loaded, a node starts in a fraction of a second. With `--workers 0` it is one process, and
    this one has no threads that a fork would lose.
    """
    from mripacs import codec, node  # noqa: F401 - loaded before the fork
    from mripacs.cli.app import main as mripacs

    trigger = Trigger(Path(os.environ[KILL_WHEN]))
    watch_commits(trigger)
    watch_statements(trigger)
    kept = watch_writes(trigger)
    codec.warm_up()
    for _ in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            sys.stdout = sys.stderr
            mripacs()
            os._exit(len(kept) == 0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
