"""Where a database's bytes are, table by table and index by index, and how the database answers a query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select, text

from mripacs.core.model import Query
from mripacs.store import queries, schema
from mripacs.store.database import Database
from mripacs.store.failures import translated

# SQLite: pages by b-tree, with what they leave unused. PostgreSQL: heap with its TOAST and maps, and each index.
_PARTS = {
    "sqlite": text("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"),
    "postgresql": text(
        "SELECT relname, CASE relkind WHEN 'i' THEN pg_relation_size(oid) ELSE pg_table_size(oid) END FROM pg_class "
        "WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
    ),
}
_BLOBS = (schema.payload.c.data, schema.header.c.data, schema.header_reference.c.data)
_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}
_DETAIL = {"sqlite": 3, "postgresql": 0}  # the column of a plan's row that is for people


class Dissection(Database):
    """A database looked into. `open` makes one; it is a context manager."""

    def bytes_by_part(self) -> Mapping[str, int]:
        """As `bytes_by_part` below."""
        with self._reading() as connection:
            return bytes_by_part(connection)

    def settle(self) -> None:
        """What the database does by itself after a while: SQLite's log is folded into the file, PostgreSQL's autovacuum
        marks what all may see and counts what is there.
        """
        if self._engine.dialect.name == "sqlite":
            with self._reading() as connection:
                connection.commit()
                connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # not within a transaction
            return
        with translated(), self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))

    def plan(self, query: Query) -> list[str]:
        """The lines in which the database says how it would run a query."""
        with self._reading() as connection:
            return plan(connection, query)


def bytes_by_part(connection: Connection) -> Mapping[str, int]:
    """Bytes on disk of each table and each index by name; "blobs" are those of payloads and packed headers alone.

    The tables' bytes include the blobs. Walks all pages of an SQLite file, and needs SQLite with `dbstat`, as Debian's.
    """
    parts = {str(name): int(size) for name, size in connection.execute(_PARTS[connection.dialect.name])}
    blobs = sum(
        connection.execute(select(func.coalesce(func.sum(func.length(data)), 0))).scalar_one() for data in _BLOBS
    )
    return {**parts, "blobs": int(blobs)}


def plan(connection: Connection, query: Query) -> list[str]:
    """How the database would run a query, in its own words."""
    dialect = connection.dialect
    compiled = queries.build(query, dialect.name).sql.compile(
        dialect=dialect, compile_kwargs={"render_postcompile": True}
    )
    names: Any = compiled.positiontup if compiled.positional else None
    values = tuple(compiled.params[name] for name in names) if names is not None else compiled.params
    rows = connection.exec_driver_sql(f"{_EXPLAIN[dialect.name]}{compiled}", values)
    return [str(row[_DETAIL[dialect.name]]) for row in rows]
