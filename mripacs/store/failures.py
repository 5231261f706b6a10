"""The border where errors of SQLAlchemy and its drivers become ours, once; SQLite's driver is also used without it.

IntegrityError passes: only the statement's author knows which UID it is about.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mripacs.core.errors import StoreError, StoreFullError, StoreUnavailableError

# Beginnings of SQLite's error names (sqlite3.Error.sqlite_errorname) and of PostgreSQL's SQLSTATE codes (Appendix A).
_KINDS: dict[str, tuple[type[StoreError], str]] = {
    "SQLITE_FULL": (StoreFullError, "the disk or the database is full"),
    "SQLITE_BUSY": (StoreUnavailableError, "the database is locked by another process"),
    "SQLITE_LOCKED": (StoreUnavailableError, "the database is locked"),
    "SQLITE_READONLY": (StoreUnavailableError, "the database is read-only"),
    "SQLITE_CANTOPEN": (StoreUnavailableError, "the database file cannot be opened"),
    "SQLITE_PERM": (StoreUnavailableError, "the database file may not be opened"),
    "SQLITE_IOERR": (StoreUnavailableError, "the disk failed"),
    "SQLITE_NOTADB": (StoreError, "the file is no SQLite database"),
    "SQLITE_CORRUPT": (StoreError, "the database file is damaged: restore it from a backup"),
    "53100": (StoreFullError, "the database server's disk is full"),
    "53": (StoreUnavailableError, "the database server is out of resources"),
    "08": (StoreUnavailableError, "the connection to the database server was lost"),
    "28": (StoreUnavailableError, "the database server refuses our user"),
    "3D": (StoreUnavailableError, "the database does not exist on the server"),
    "40": (StoreUnavailableError, "the transaction lost against another one"),
    "55P03": (StoreUnavailableError, "the database is locked"),
    "57": (StoreUnavailableError, "the database server is shutting down or cancelled the statement"),
    "25006": (StoreUnavailableError, "the database is read-only"),
}
_KEY_ERRORS = {
    *("SQLITE_CONSTRAINT_FOREIGNKEY", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"),
    *("23503", "23505"),  # foreign_key_violation, unique_violation
}
_CONNECTION_FAILED: tuple[type[StoreError], str] = (StoreUnavailableError, "the database server cannot be reached")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy or SQLite's driver raises within into StoreError or one of its leaves.

    SQLAlchemy's IntegrityError passes.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise _translate(error.orig) from error
    except sqlite3.Error as error:
        raise _translate(error) from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError("all connections to the database are in use") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database failed: {type(error).__name__}") from error


def is_race(error: IntegrityError) -> bool:
    """Whether a key was missing or taken, which another transaction can have caused."""
    code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None)
    return code in _KEY_ERRORS


def is_busy(error: BaseException) -> bool:
    """Whether another writer kept this one out for as long as it would wait; the error may be translated or not."""
    driver = error.__cause__ if isinstance(error, StoreUnavailableError) else error
    if driver is None:
        return True  # our own, of a writer that waited for its turn
    return str(getattr(getattr(driver, "orig", driver), "sqlite_errorname", "")).startswith("SQLITE_BUSY")


def _translate(error: BaseException | None) -> StoreError:
    """Our error for the driver's; its text is left out, because drivers quote values in it."""
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    if code is None and type(error).__name__ == "OperationalError":
        kind, reason = _CONNECTION_FAILED
    else:
        matching = (prefix for prefix in _KINDS if str(code).startswith(prefix))
        kind, reason = _KINDS.get(next(matching, ""), (StoreError, f"the database failed: {type(error).__name__}"))
    return kind(f"{reason} ({code})" if code else reason)
