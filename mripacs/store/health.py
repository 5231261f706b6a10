"""Whether the database answers, how large it is, and what room is left on its disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from mripacs.core.model import DatabaseHealth

_SIZES = {
    "sqlite": text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"),
    "postgresql": text("SELECT pg_database_size(current_database())"),
}


def measure(connection: Connection, engine: Engine) -> DatabaseHealth:
    """One read of the schema's row and one of the size; costs the same however much is stored."""
    connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    size = int(connection.execute(_SIZES[engine.dialect.name]).scalar_one())
    return DatabaseHealth(engine.dialect.name, size, _free_bytes(engine))


def _free_bytes(engine: Engine) -> int | None:
    if engine.dialect.name != "sqlite" or engine.url.database is None:
        return None
    return shutil.disk_usage(Path(engine.url.database).resolve().parent).free
