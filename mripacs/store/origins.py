"""Who sent the instances, and the audit events of their storage.

An instance is its own event as long as it is there: when it came, what became of it, and by `origin` from whom. The
view `audit` shows it among the events. What takes the instance out writes the event first. An event for each took 150
to 200 bytes an instance; an origin is shared by what comes over an association.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from mripacs.core.model import ReceivedFrom
from mripacs.store import schema
from mripacs.store.match_forms import cleaned

STORED_OUTCOME = "stored"  # of the event of a storage

_origin, _instance = schema.origin.c, schema.instance.c
_WORDS = ("door", "calling_ae", "called_ae", "peer")
_FIND = select(_origin.id).where(*(_origin[word] == bindparam(word) for word in _WORDS))
_MAYBE = {
    "sqlite": sqlite.insert(schema.origin).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(schema.origin).on_conflict_do_nothing(),
}
_STORAGES = (
    select(
        _instance.received_at.label("time"),
        _instance.sop_instance_uid.label("uid"),
        _instance.tier.label("detail"),
        *(_origin[word] for word in _WORDS),
    )
    .join(schema.origin, _origin.id == _instance.origin_id)
    .order_by(_instance.id)
)
_EVENT = insert(schema.event)


def words_of(source: ReceivedFrom) -> dict[str, str]:
    """The columns that say where something came from."""
    found = {"door": source.door, "calling_ae": source.calling_ae, "called_ae": source.called_ae, "peer": source.peer}
    return {name: cleaned(word) for name, word in found.items()}


def find_or_add(connection: Connection, sources: Iterable[ReceivedFrom]) -> Mapping[ReceivedFrom, int]:
    """The rows of the origins, written where they are new."""
    return {source: _row(connection, words_of(source)) for source in dict.fromkeys(sources)}


def _row(connection: Connection, words: Mapping[str, str]) -> int:
    row = connection.execute(_FIND, words).scalar()
    if row is None:
        connection.execute(_MAYBE[connection.dialect.name], words)
        row = connection.execute(_FIND, words).scalar_one()
    return int(row)


def write_events(connection: Connection, instance_ids: Sequence[int]) -> None:
    """The events of the storage of instances that are about to go; those stored before revision 0007 have theirs."""
    storages = connection.execute(_STORAGES.where(_instance.id.in_(instance_ids))).mappings().all()
    if storages:
        connection.execute(_EVENT, [{**row, "kind": "store", "outcome": STORED_OUTCOME} for row in storages])
