"""The schema's revisions and the way from one to another; `revision` tells which one a database has.

Revisions are Alembic scripts in `migrations/` of a checkout, shipped in the wheel as `mripacs/_migrations`. Each
upgrade is one transaction on both databases; nodes that start at once wait for each other's and then find nothing
left to do.
"""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from mripacs.core.errors import SchemaError
from mripacs.store.engine import WRITES, open_engine, parse_url, prepare_file, require_file
from mripacs.store.failures import translated
from mripacs.store.revision import HEAD, is_empty, revision_of
from mripacs.store.schema import metadata

UPGRADE_LOCK = 0x6D726970  # "mrip": key of the advisory lock that upgrades of a PostgreSQL database hold
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it works on in module globals
_PACKAGE = Path(__file__).resolve().parents[1]


def upgrade(url: str) -> str:
    """Bring the database to this version's schema and return the revision; an empty database gets all tables.

    Raises SchemaError for a newer or foreign schema, StoreError and its leaves when the database fails.
    """
    parsed = parse_url(url)
    prepare_file(parsed)
    engine = open_engine(parsed, foreign_keys=False)
    writer = engine.execution_options(**{WRITES: True})
    try:
        with _ONE_AT_A_TIME, translated(), writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
            refuse_foreign(connection)
            command.upgrade(_config(connection), "head")
            return str(revision_of(connection))
    except CommandError as error:
        raise SchemaError(f"the database's schema is unknown to this version of mripacs: {error}") from error
    finally:
        engine.dispose()


def current(url: str) -> str | None:
    """The revision of the database; None when it is empty. Raises StoreUnavailableError when there is none."""
    parsed = parse_url(url)
    require_file(parsed)
    engine = open_engine(parsed)
    try:
        with translated(), engine.connect() as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


def check(url: str) -> list[str]:
    """What differs between the database and this version's schema, one line each; an empty list is what should be.

    Raises StoreUnavailableError when there is no database.
    """
    parsed = parse_url(url)
    require_file(parsed)
    engine = open_engine(parsed)
    try:
        with translated(), engine.connect() as connection:
            found = revision_of(connection)
            stale = [] if found == HEAD else [f"revision is {found}, needed is {HEAD}"]
            return stale + [_describe(change) for change in compare_metadata(_context(connection), metadata)]
    finally:
        engine.dispose()


def known_revisions() -> set[str]:
    """All revisions up to the one that this version needs."""
    return {script.revision for script in _scripts().walk_revisions()}


def refuse_foreign(connection: Connection) -> None:
    """Raise SchemaError for a database with tables but without a revision: it belongs to something else."""
    if not is_empty(connection) and revision_of(connection) is None:
        raise SchemaError("the database has tables of another application; give mripacs a database of its own")


def migrations_folder() -> Path:
    """Where the revisions are: in the installed package, else beside it in a checkout."""
    for folder in (_PACKAGE / "_migrations", _PACKAGE.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise SchemaError("this installation of mripacs lacks its migrations: install it again")


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"compare_type": True})


def _describe(change: object) -> str:
    """One of alembic's nested change tuples as a line."""
    if isinstance(change, (list, tuple)):
        return " ".join(_describe(part) for part in change if part is not None)
    return getattr(change, "name", None) or str(change)
