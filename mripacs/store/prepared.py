"""Statements of one shape, within a transaction: SQLite's driver runs them itself.

What is kept before each acknowledgement takes five statements, one writer at a time. SQLAlchemy takes 40 us for each
(its cursor, its result, finding what it compiled), the driver 5.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, Update
from sqlalchemy.exc import DBAPIError

from mripacs.store.driver_form import DriverForm, driver_form


class Prepared:
    """One statement that gives back no value of a converted type. Thread-safe; run it on any connection."""

    def __init__(self, statement: Select[Any] | Insert | Update | Delete) -> None:
        """statement : each value of a row or a condition is a named parameter or a constant."""
        self._statement = statement

    def run(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows, in the connection's transaction. Raises SQLAlchemy's errors."""
        if connection.dialect.name != "sqlite" or _is_watched(connection):
            result = connection.execute(self._statement, dict(values))
            return [tuple(row) for row in result] if result.returns_rows else []
        form = self._form
        parameters = [
            stored(values[name] if name in values or value is None else value)
            for name, value, stored in form.parameters
        ]
        if not connection.in_transaction():
            connection.begin()  # as SQLAlchemy would: the driver alone commits each statement
        driver: Any = connection.connection.dbapi_connection
        try:
            rows: list[tuple[Any, ...]] = driver.execute(form.sql, parameters).fetchall()
        except sqlite3.Error as error:  # as SQLAlchemy raises it, without the values
            raise DBAPIError.instance(form.sql, None, error, sqlite3.Error, dialect=connection.dialect) from error
        return rows

    @cached_property
    def _form(self) -> DriverForm:
        return driver_form(self._statement)


def _is_watched(connection: Connection) -> bool:
    """Whether somebody wants to be told of each statement."""
    return bool(connection.dispatch.before_cursor_execute or connection.dispatch.after_cursor_execute)
