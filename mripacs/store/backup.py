"""Backups: the whole database as one file, made while nodes write, and put back into an empty database.

SQLite: the driver's online backup in a single step, which reads one state of the write-ahead log while writers go on.
PostgreSQL: `pg_dump` in its custom format, which reads one snapshot; `pg_restore` in one transaction. Both programs
must be on the PATH, of the server's version or newer.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL

from mripacs.core.errors import SettingsError, StoreError, StoreFullError, StoreUnavailableError
from mripacs.store.engine import BUSY_TIMEOUT_S, open_engine, parse_url, prepare_file, require_file
from mripacs.store.failures import translated
from mripacs.store.revision import is_empty

_MAGIC = {"sqlite": b"SQLite format 3\0", "postgresql": b"PGDMP"}
_NAMES = {"sqlite": "an SQLite", "postgresql": "a PostgreSQL"}


def backup(url: str, file: Path) -> int:
    """Write the database into a new file (0600), durably, and give its bytes.

    The file appears under its name when it is whole. Raises SettingsError when it exists already or `pg_dump` is
    missing, StoreUnavailableError when there is no database, StoreError when writing fails.
    """
    parsed = parse_url(url)
    require_file(parsed)
    if file.exists():
        raise SettingsError(f"{file} exists already; a backup never overwrites")
    with _partial(file) as partial:
        _BACKUPS[parsed.get_backend_name()](parsed, partial)
    return file.stat().st_size


def restore(url: str, file: Path) -> None:
    """Put a backup into an empty database, an SQLite file into its place if there is none.

    Raises SettingsError when the file is no backup of that kind of database, or the database is not empty; StoreError
    when it is damaged; SchemaError when another version of mripacs made it, whose `admin db upgrade` may help.
    """
    parsed = parse_url(url)
    _require_kind(parsed, file)
    if not _is_empty(parsed):
        raise SettingsError(
            f"database {parsed.render_as_string()} is not empty: a backup is restored into an empty one"
        )
    _RESTORES[parsed.get_backend_name()](parsed, file)


def _backup_sqlite(url: URL, partial: Path) -> None:
    with _copying(Path(str(url.database)), partial) as copy:
        copy.execute("PRAGMA journal_mode=DELETE").close()  # one file, without a log beside it


def _restore_sqlite(url: URL, file: Path) -> None:
    place = Path(str(url.database))
    prepare_file(url)
    for suffix in ("-wal", "-shm"):
        Path(f"{place}{suffix}").unlink(missing_ok=True)
    place.unlink()  # empty, as was seen: its pages must not be mixed with the backup's
    with _partial(place) as partial, _copying(file, partial) as copy:
        (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise StoreError(f"the backup {file} is damaged: {said}")


def _backup_postgresql(url: URL, partial: Path) -> None:
    _run(url, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file", str(partial))


def _restore_postgresql(url: URL, file: Path) -> None:
    options = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    _run(url, "pg_restore", *options, "--dbname", str(url.database), str(file))


_BACKUPS = {"sqlite": _backup_sqlite, "postgresql": _backup_postgresql}
_RESTORES = {"sqlite": _restore_sqlite, "postgresql": _restore_postgresql}


def _run(url: URL, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the database; the password goes by the environment, unseen by others."""
    found = shutil.which(program)
    if found is None:
        raise SettingsError(f"{program} is not on the PATH: install PostgreSQL's client programs (postgresql-client)")
    done = subprocess.run(  # noqa: S603 - a program of the PATH, without a shell
        [found, *arguments], env=_environment(url), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise StoreError(f"{program} failed: {reason[0] if reason else f'exit code {done.returncode}'}")


def _environment(url: URL) -> Mapping[str, str]:
    """libpq's variables for the URL."""
    given = {
        "PGHOST": url.host,
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    options = {f"PG{name.upper()}": str(value) for name, value in url.query.items()}  # sslmode, for instance
    return {**os.environ, **options, **{name: value for name, value in given.items() if value}}


def _require_kind(url: URL, file: Path) -> None:
    try:
        with file.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise SettingsError(f"backup {file} cannot be read: {error.strerror}") from error
    backend = url.get_backend_name()
    if not start.startswith(_MAGIC[backend]):
        raise SettingsError(f"{file} is no backup of {_NAMES[backend]} database")


def _is_empty(url: URL) -> bool:
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return True
    engine = open_engine(url)
    try:
        with translated(), engine.connect() as connection:
            return is_empty(connection)
    finally:
        engine.dispose()


@contextmanager
def _partial(file: Path) -> Iterator[Path]:
    """A private file to write that takes the name `file` when it is whole and on the disk, and goes if it is not."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
        yield partial
        _flush(partial)
        partial.rename(file)
        _flush(file.parent)
    except OSError as error:
        raise StoreUnavailableError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _copying(source: Path, target: Path) -> Iterator[sqlite3.Connection]:
    """The target, open, as a copy of one state of the source."""
    reading = f"file:{quote(str(source.absolute()))}?mode=rw"
    try:
        with (
            closing(sqlite3.connect(reading, uri=True, timeout=BUSY_TIMEOUT_S)) as origin,
            closing(sqlite3.connect(target)) as copy,
        ):
            origin.backup(copy)  # all pages in one step
            yield copy
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        kind = StoreFullError if name == "SQLITE_FULL" else StoreError
        raise kind(f"the database could not be copied: {name}") from error
