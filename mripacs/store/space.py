"""Space that deletions leave is given back to the file system, in steps that other writers hardly notice.

SQLite files are opened with auto_vacuum=INCREMENTAL: 3000 commits of 8 KB take the same time with and without, and half
of them deleted shrinks the file from 27.0 to 14.8 MB (a whole VACUUM: 14.5 MB, with everybody waiting and the space
of a second file). PostgreSQL's autovacuum makes the space usable by itself; `vacuum` asks for it now.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Engine, text

PAGES_AT_ONCE = 500  # 2 MB: writers wait 41 ms at most for a step


def free(engine: Engine, write_lock: AbstractContextManager[Any]) -> int:
    """Return unused pages of an SQLite file, and say how many bytes those were; 0 on PostgreSQL.

    Raises errors of SQLAlchemy and of SQLite's driver.
    """
    if engine.dialect.name != "sqlite":
        return 0
    connection = engine.raw_connection()
    try:
        driver: Any = connection.driver_connection  # its `execute` would run one step, of one page
        before = _pragma(driver, "page_count")
        while unused := _pragma(driver, "freelist_count"):
            with write_lock:
                driver.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
            if _pragma(driver, "freelist_count") >= unused:  # a file from before auto_vacuum: its pages are reused
                break
        driver.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        return (before - _pragma(driver, "page_count")) * _pragma(driver, "page_size")
    finally:
        connection.close()


def vacuum(engine: Engine, write_lock: AbstractContextManager[Any]) -> int:
    """As `free`; on PostgreSQL, VACUUM, and what the database has become smaller by."""
    if engine.dialect.name == "sqlite":
        return free(engine, write_lock)
    size = text("SELECT pg_database_size(current_database())")
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        before = int(connection.execute(size).scalar_one())
        connection.execute(text("VACUUM"))
        return max(0, before - int(connection.execute(size).scalar_one()))


def _pragma(driver: Any, name: str) -> int:
    return int(driver.execute(f"PRAGMA {name}").fetchone()[0])
