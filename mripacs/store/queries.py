"""Queries as SQL: which rows exist at a level, which of them a query wants, and what it gets back.

A level's rows may be restricted by, and return, attributes of their own level and those above. Keys of a lower level
are ignored, as unsupported ones are (PS3.4 C.2.2.1.3). A patient is returned as the first of the matching studies
describes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from mripacs.core.errors import QueryError
from mripacs.core.model import Level, Query
from mripacs.store import schema
from mripacs.store.keys import ATTRIBUTES, COMPUTED, KEYS, RANK
from mripacs.store.matching import clause
from mripacs.store.reading import HIERARCHY, ORDER

ROWS_AT_ONCE = 500  # read ahead of the consumer
COMMON = "attributes_common"  # of the series' first instance, under the instance's own

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c
_SOURCES: Mapping[Level, Any] = {
    Level.PATIENT: schema.study,
    Level.STUDY: schema.study,
    Level.SERIES: schema.study.join(schema.series, _series.study_id == _study.id),
    Level.IMAGE: HIERARCHY,
}
_ORDERS: Mapping[Level, tuple[Any, ...]] = {
    Level.PATIENT: ORDER[:1],
    Level.STUDY: ORDER[:1],
    Level.SERIES: ORDER[:2],
    Level.IMAGE: ORDER,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A query ready to run: its SQL, the computed keywords in it, and the levels whose attributes it reads."""

    sql: Select[Any]
    computed: tuple[str, ...]
    levels: tuple[Level, ...]


def build(query: Query, dialect: str) -> Statement:
    """The statement for a query; `dialect` is "sqlite" or "postgresql". QueryError for values that no key can have."""
    if (query.limit is not None and query.limit < 0) or query.offset < 0:
        raise QueryError(f"limit {query.limit} and offset {query.offset} must not be negative")
    wanted = set(query.return_keywords)
    levels = tuple(level for level in Level if RANK[level] <= RANK[query.level])
    computed = tuple(keyword for keyword, (level, _) in COMPUTED.items() if keyword in wanted and level in levels)
    columns = [COMPUTED[keyword][1].label(keyword) for keyword in computed]
    columns += [ATTRIBUTES[level].label(_label(level)) for level in levels]
    columns += [_series.instance_attributes.label(COMMON)] if query.level is Level.IMAGE else []
    sql = select(*columns).select_from(_SOURCES[query.level]).where(_restriction(query, dialect))
    order = [column.desc() for column in _ORDERS[query.level]] if query.newest_first else _ORDERS[query.level]
    sql = sql.order_by(*order).limit(query.limit).offset(query.offset or None)
    return Statement(sql, computed, levels)


def rows(connection: Connection, query: Query, statement: Statement) -> Iterator[dict[str, str | int]]:
    """The rows, by keyword; values that are absent or empty are left out."""
    labels = [*([COMMON] if query.level is Level.IMAGE else []), *(_label(level) for level in statement.levels)]
    result = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(statement.sql).mappings()
    for row in result:
        found: dict[str, Any] = {}
        for attributes in (row[label] for label in labels):
            found.update((keyword, attributes[keyword]) for keyword in query.return_keywords if keyword in attributes)
        found.update((keyword, row[keyword]) for keyword in statement.computed)
        yield {keyword: value for keyword, value in found.items() if value not in (None, "")}


def _restriction(query: Query, dialect: str) -> Any:
    """All matches that the level supports; at PATIENT level, the first matching study of each patient."""
    supported = [match for match in query.matches if match.keyword in KEYS]
    supported = [match for match in supported if RANK[KEYS[match.keyword].level] <= RANK[query.level]]
    condition = and_(True, *(clause(match, dialect) for match in supported if match.kind != "universal"))
    if query.level is not Level.PATIENT:
        return condition
    return _study.id.in_(select(func.min(_study.id)).where(condition).group_by(_study.patient_key))


def _label(level: Level) -> str:
    return f"attributes_{level.lower()}"
