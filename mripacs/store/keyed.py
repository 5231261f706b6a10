"""Questions by UIDs, on SQLite: the statement of a shape of question is built once and run by the driver itself.

Viewers ask for the series of a study and the instances of a series, each time of another. Of the 0.20 ms of processor
time that one took, SQLAlchemy's statement, transaction and result were 0.15; what it builds depends on the keys, not on
the UIDs, which go where stand-ins were. One statement sees one state of all rows without a transaction.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Engine

from mripacs.core.model import Match, Query
from mripacs.store import queries
from mripacs.store.driver_form import DriverForm, as_it_is, driver_form
from mripacs.store.failures import translated
from mripacs.store.idle_connections import IdleConnections

KEPT_SHAPES = 128
UID_KEYS = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class _Shape:
    """A prepared statement, and the number of the match whose value each parameter is; None: the statement's own."""

    statement: queries.Statement
    form: DriverForm
    numbers: tuple[int | None, ...]


class Question(NamedTuple):
    """A statement to run with these values."""

    shape: _Shape
    values: list[Any]


class KeyedQuestions:
    """Answers queries whose matches are one UID each. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connections = IdleConnections(engine)
        self._shape = lru_cache(KEPT_SHAPES)(self._prepared)

    def question(self, query: Query) -> Question | None:
        """How to ask `rows`; None for a query that has to be asked otherwise. Raises QueryError."""
        if self._engine.dialect.name != "sqlite" or not _is_keyed(query):
            return None
        matches = tuple([_stand_in(number, match.keyword) for number, match in enumerate(query.matches)])
        shape = self._shape(
            Query(query.level, matches, query.return_keywords, query.limit, query.offset, query.newest_first)
        )
        if shape is None:
            return None
        return Question(
            shape,
            [
                parameter.stored(parameter.value if number is None else query.matches[number].values[0])
                for parameter, number in zip(shape.form.parameters, shape.numbers, strict=True)
            ],
        )

    def rows(self, question: Question) -> list[dict[str, str | int]] | None:
        """All rows; None where they are too many to be held at once. Raises StoreError as other questions do."""
        shape = question.shape
        found = self._run(shape.form.sql, question.values)
        if len(found) > queries.ROWS_AT_ONCE:
            return None
        reads = [read for _, read in shape.form.columns]
        if any(read is not as_it_is for read in reads):
            found = [tuple(read(each) for read, each in zip(reads, row, strict=True)) for row in found]
        return list(queries.described(shape.statement, found))

    def _run(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """A statement's rows, up to one more than are held. Raises StoreError."""
        with translated():
            held = self._connections.take()
            try:
                with closing(held.connection.cursor()) as cursor:
                    cursor.execute(sql, values)
                    found: list[tuple[Any, ...]] = cursor.fetchmany(queries.ROWS_AT_ONCE + 1)  # type: ignore[assignment]
            except BaseException:
                held.connection.close()
                raise
            self._connections.give(held)
        return found

    def close(self) -> None:
        """Close the connections that it keeps."""
        self._connections.close()

    def _prepared(self, query: Query) -> _Shape | None:
        """The statement for queries of a shape; None where not every UID is a parameter of its own."""
        statement = queries.build(query, self._engine.dialect.name)
        form = driver_form(statement.sql)
        numbers = {match.values[0]: number for number, match in enumerate(query.matches)}
        if not numbers.keys() <= {parameter.value for parameter in form.parameters}:
            return None
        return _Shape(statement, form, tuple(numbers.get(parameter.value) for parameter in form.parameters))


def _is_keyed(query: Query) -> bool:
    return bool(query.matches) and all(_is_uid(match) for match in query.matches)


def _is_uid(match: Match) -> bool:
    return (
        match.keyword in UID_KEYS
        and match.kind == "single"
        and not match.fold_case
        and _UID.fullmatch(match.values[0]) is not None
    )


@lru_cache(KEPT_SHAPES)
def _stand_in(number: int, keyword: str) -> Match:
    """A match of one UID, with a value that no UID is and no other constant of a statement."""
    return Match(keyword, "single", (f"UID {number}",))
