"""Trained tables of the codec that payloads of this archive name; they stay as long as the archive does."""

from __future__ import annotations

from sqlalchemy import Connection, LargeBinary, func, insert, select

from mripacs.store import schema
from mripacs.store.headers import digest
from mripacs.store.writing import now

_tables = schema.codec_tables.c


def add(connection: Connection, content: bytes) -> bool:
    """Keep a table file under its SHA-256; False if it is there already."""
    key = digest(content)
    if connection.execute(select(_tables.digest).where(_tables.digest == key)).first():
        return False
    connection.execute(insert(schema.codec_tables), {"digest": key, "data": content, "added_at": now()})
    return True


def find(connection: Connection, name: bytes) -> bytes | None:
    """The table file whose SHA-256 begins with `name`, None without one; damaged ones are none."""
    start = func.substr(_tables.digest, 1, len(name), type_=LargeBinary)
    for row in connection.execute(select(_tables.digest, _tables.data).where(start == name)):
        if digest(row.data) == row.digest:
            return bytes(row.data)
    return None


def listed(connection: Connection) -> list[tuple[str, int, str]]:
    """SHA-256 in hexadecimal, bytes, and when it was added, of each table file, oldest first."""
    rows = select(_tables.digest, func.length(_tables.data), _tables.added_at).order_by(_tables.added_at)
    return [(found.hex(), size, added_at) for found, size, added_at in connection.execute(rows)]
