"""Statements in the form that SQLite's driver takes, for what runs them without SQLAlchemy (`glance`, `keyed`,
`prepared`): its SQL, its parameters in order, and what turns values into what is stored, and back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from mripacs.store.engine import compact_json, read_json

Convert = Callable[[Any], Any]
_SQLITE = sqlite_dialect(paramstyle="qmark", json_serializer=compact_json, json_deserializer=read_json)  # as an engine


class Parameter(NamedTuple):
    """A place in the SQL."""

    name: str
    value: Any  # where it is part of the statement; None where it is to be given
    stored: Convert  # its value as the database has it


class DriverForm(NamedTuple):
    """A compiled statement."""

    sql: str
    parameters: list[Parameter]
    columns: list[tuple[str, Convert]]  # of a SELECT: keys, and what is read for what the database has


def as_it_is(value: Any) -> Any:
    """The conversion of what is stored as it is."""
    return value


def driver_form(statement: Select[Any] | Insert | Update | Delete) -> DriverForm:
    """The statement for SQLite; lists that IN is given are part of it."""
    compiled: Any = statement.compile(dialect=_SQLITE, compile_kwargs={"render_postcompile": True})
    parameters = []
    for name in compiled.positiontup or ():
        bind = compiled.binds[name if name in compiled.binds else name.rpartition("_")[0]]  # of a list: name_1, name_2
        stored = bind.type.dialect_impl(_SQLITE).bind_processor(_SQLITE) or as_it_is
        parameters.append(Parameter(name, compiled.params[name], stored))
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    read: list[tuple[str, Convert]] = [
        (str(each.key), each.type.dialect_impl(_SQLITE).result_processor(_SQLITE, None) or as_it_is) for each in columns
    ]
    return DriverForm(str(compiled), parameters, read)
