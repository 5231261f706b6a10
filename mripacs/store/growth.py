"""What came in and what it takes, by day and manufacturer, from ranges of the index's row numbers.

A view of the storage adds up only the rows that are new since the last one (`mripacs.retrieve.growth`): each statement
here walks the primary key from a number on. On PostgreSQL a lower number may be committed after a higher one, so
numbers count as settled only when their time lies back.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from mripacs.core.model import GrowthRow
from mripacs.store import schema
from mripacs.store.origins import STORED_OUTCOME

_instance, _series, _event = schema.instance.c, schema.series.c, schema.event.c
_DAY = func.substr(_instance.received_at, 1, 10)
_MANUFACTURER = func.coalesce(cast(_series.attributes["Manufacturer"].as_string(), Text), "")


def _sum(value: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(value), 0)


_TOTALS = (
    func.count(_instance.id),
    _sum(_instance.received_bytes),
    _sum(_instance.received_pixel_bytes),
    _sum(_instance.payload_bytes),
    _sum(_instance.header_bytes),
)


def read(connection: Connection, after: int, upto: int | None = None) -> list[GrowthRow]:
    """Totals of the instances with numbers above `after`, up to `upto` if that is given."""
    statement = (
        select(_DAY, _MANUFACTURER, *_TOTALS)
        .select_from(schema.instance.join(schema.series, _instance.series_id == _series.id))
        .where(_instance.id > after, *([_instance.id <= upto] if upto is not None else []))
        .group_by(_DAY, _MANUFACTURER)
    )
    return [GrowthRow(day, maker.strip(), *map(int, sums)) for day, maker, *sums in connection.execute(statement)]


def settled(connection: Connection, after: int, before: str) -> int:
    """The highest number above `after` of an instance received before a time (ISO 8601, UTC); `after` without any."""
    statement = select(func.max(_instance.id)).where(_instance.id > after, _instance.received_at < before)
    return int(connection.execute(statement).scalar_one() or after)


def removals(connection: Connection, after: int, before: str) -> tuple[bool, int]:
    """Whether something was deleted or replaced in the events above `after`, and the last event that is settled."""
    gone = select(_event.id).where(_event.id > after, _event.outcome.in_(("deleted", "replaced"))).limit(1)
    # Storages are told late, with the time they had: that says nothing of the numbers before theirs.
    last = select(func.max(_event.id)).where(_event.id > after, _event.time < before, _event.outcome != STORED_OUTCOME)
    found = connection.execute(gone).first() is not None
    return found, int(connection.execute(last).scalar_one() or after)


def reference_bytes(connection: Connection) -> int:
    """Stored bytes of all header references, of which a series has four at most."""
    return int(connection.execute(select(_sum(func.length(schema.header_reference.c.data)))).scalar_one())
