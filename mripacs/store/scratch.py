"""Throw-away databases for benchmarks: files in a folder, or databases of a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, text

from mripacs.core.errors import SettingsError
from mripacs.store.engine import open_engine, parse_url
from mripacs.store.failures import translated

PREFIX = "mripacs_scratch_"


@contextmanager
def scratch_database(server: str | None, folder: Path, name: str) -> Iterator[str]:
    """The URL of a database that is not there yet, or empty; it goes with everything in it.

    server : URL of any database of a PostgreSQL server where databases may be made; None: a file in the folder.
    name : lower-case letters and underscores; a database that an earlier run left under it goes first.
    """
    if server is None:
        yield f"sqlite:///{folder / name}.db"
        return
    parsed = parse_url(server)
    if parsed.get_backend_name() != "postgresql":
        raise SettingsError("throw-away databases are made on PostgreSQL servers; without a URL they are SQLite files")
    database = f"{PREFIX}{name}"
    _run(parsed, f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database}")
    try:
        yield parsed.set(database=database).render_as_string(hide_password=False)
    finally:
        _run(parsed, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def _run(url: URL, *statements: str) -> None:
    engine = open_engine(url)
    try:
        with translated(), engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()
