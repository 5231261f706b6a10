"""Which schema a database has, and whether it is this version's. What leads from one to another is `migrate`'s, whose
Alembic is loaded where they differ: it is a tenth of what a node imports (0.14 of 1.46 s, busy machine).
"""

from __future__ import annotations

from sqlalchemy import URL, Connection, inspect, text

from mripacs.core.errors import SchemaError

HEAD = "0007"  # the last of `migrations/`
_TABLE = "alembic_version"


def is_empty(connection: Connection) -> bool:
    """Whether no table is there yet."""
    return not inspect(connection).get_table_names()


def revision_of(connection: Connection) -> str | None:
    """The revision of the database; None when it has none."""
    if not inspect(connection).has_table(_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars().all()  # noqa: S608 - a constant
    return ", ".join(sorted(found)) if found else None


def require_head(connection: Connection, url: URL) -> None:
    """Raise SchemaError unless the database has this version's schema."""
    found = revision_of(connection)
    if found == HEAD:
        return
    from mripacs.store.migrate import known_revisions  # noqa: PLC0415 - Alembic

    where = f"database {url.render_as_string()}"
    if found is None:
        raise SchemaError(f"{where} is no mripacs archive: it has no schema revision")
    if found in known_revisions():
        raise SchemaError(f"{where} has schema {found}, this version needs {HEAD}: run `mripacs admin db upgrade`")
    raise SchemaError(f"{where} has schema {found} of a newer version of mripacs")
