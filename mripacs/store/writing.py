"""Writing instances: a single transaction from study row to payload.

Rows that many instances share (study, series) are inserted "on conflict do nothing", so that two nodes may create
them at once. Their counts are updated last: that is where writers of one study wait for each other on PostgreSQL, so
the wait is short. Statements are built once: building them each time took longer than running them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Insert, Table, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from mripacs.core.model import IndexAttributes, NewInstance, ReceivedFrom
from mripacs.store import name_parts, origins, schema
from mripacs.store.headers import PackedHeader, digest
from mripacs.store.locks import own_uids, share_study
from mripacs.store.match_forms import cleaned
from mripacs.store.references import seal_of
from mripacs.store.rows import Attributes, Values, instance_values, series_values, study_values
from mripacs.store.seals import seal
from mripacs.store.tallies import count_one_more

_study, _series = schema.study.c, schema.series.c

_FIND_STUDY = select(_study.id).where(_study.study_instance_uid == bindparam("study_instance_uid"))
_FIND_SERIES = select(_series.id, _series.instance_attributes).where(
    _series.study_id == bindparam("study_id"), _series.series_instance_uid == bindparam("series_instance_uid")
)
_MAYBE_STUDY: Mapping[str, Insert] = {
    "sqlite": sqlite.insert(schema.study).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(schema.study).on_conflict_do_nothing(),
}
_MAYBE_SERIES: Mapping[str, Insert] = {
    "sqlite": sqlite.insert(schema.series).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(schema.series).on_conflict_do_nothing(),
}
_WAITING = select(schema.waiting.c.uid).where(schema.waiting.c.uid.in_(bindparam("uids", expanding=True)))
_REFERENCE = insert(schema.header_reference).returning(schema.header_reference.c.id)
_INSTANCE = insert(schema.instance).returning(schema.instance.c.id, sort_by_parameter_order=True)
_UIDS, _HEADER, _PAYLOAD, _EVENT = (
    insert(table) for table in (schema.instance_uid, schema.header, schema.payload, schema.event)
)


@dataclass(frozen=True, slots=True)
class Placed:
    """An instance whose study and series have their rows, which count it."""

    new: NewInstance
    header: PackedHeader
    series_id: int
    common: Attributes  # of the series' first instance
    received_at: str


class StillWaiting(Exception):  # noqa: N818 - never leaves the store: whoever meets it settles the objects first
    """A UID names acknowledged objects that are not compressed yet."""

    def __init__(self, uids: tuple[str, ...]) -> None:
        super().__init__()
        self.uids = uids


class BaseMissing(Exception):  # noqa: N818 - as above: the header is packed anew
    """A new header reference leans on another one that was to come with it, and did not."""


def write_instance(connection: Connection, new: NewInstance, header: PackedHeader) -> str:
    """Write all rows of an instance and return the time of receipt.

    Raises IntegrityError when one of its UIDs names an instance already, and when the header's reference has gone, and
    StillWaiting when one of them names an object that waits.
    """
    received_at = now()
    share_study(connection, uid_of_study(new.attributes))
    require_not_waiting(connection, {new.sop_instance_uid, new.original_sop_instance_uid})
    study_id = find_or_add_study(connection, new.attributes)
    series_id, common = find_or_add_series(connection, study_id, new.attributes)
    insert_instances(connection, [Placed(new, header, series_id, common, received_at)])
    count_one_more(connection, study_id, series_id)
    return received_at


def require_not_waiting(connection: Connection, uids: Collection[str]) -> None:
    """Raise StillWaiting when one of the UIDs names an acknowledged object that is no instance yet."""
    own_uids(connection, uids)
    waiting = connection.execute(_WAITING, {"uids": sorted(uids)}).scalars().all()
    if waiting:
        raise StillWaiting(tuple(waiting))


def write_event(
    connection: Connection, kind: str, source: ReceivedFrom, *subject: str, time: str | None = None
) -> None:
    """One audit row; `subject` is the UID that it is about, the outcome and details."""
    uid, outcome, detail = (str(part) for part in subject)
    connection.execute(_EVENT, _event(kind, source, uid, outcome, detail, time or now()))


def now() -> str:
    """The time as ISO 8601 in UTC with microseconds, which sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def find_or_add_study(connection: Connection, found: IndexAttributes) -> int:
    """Its row's number."""
    unique = {"study_instance_uid": uid_of_study(found)}
    study_id: int | None = connection.execute(_FIND_STUDY, unique).scalar()
    if study_id is None:
        values = _sealed(schema.study, study_values(found))
        connection.execute(_MAYBE_STUDY[connection.dialect.name], values)
        study_id = int(connection.execute(_FIND_STUDY, unique).scalar_one())
        name_parts.write(connection, study_id, values)
    return study_id


def find_or_add_series(connection: Connection, study_id: int, found: IndexAttributes) -> tuple[int, Attributes]:
    """Its row's number, and the attributes of its first instance."""
    unique: Values = {"study_id": study_id, "series_instance_uid": uid_of_series(found)}
    row = connection.execute(_FIND_SERIES, unique).first()
    if row is None:
        connection.execute(
            _MAYBE_SERIES[connection.dialect.name],
            {"study_id": study_id, **_sealed(schema.series, series_values(found), uid_of_study(found))},
        )
        row = connection.execute(_FIND_SERIES, unique).one()
    return row.id, row.instance_attributes


def _sealed(table: Table, values: Values, *place: str) -> Values:
    return {**values, "row_digest": seal(table, values, *place)}


def uid_of_study(found: IndexAttributes) -> str:
    """Study Instance UID, which is always among the attributes."""
    return str(found.study["StudyInstanceUID"])


def uid_of_series(found: IndexAttributes) -> str:
    """Series Instance UID, as above."""
    return str(found.series["SeriesInstanceUID"])


def insert_instances(connection: Connection, placed: Sequence[Placed]) -> None:
    """The rows of instances, table by table. At most one of a series may bring a new header reference.

    Raises IntegrityError when one of their UIDs names an instance already, or a header's reference has gone.
    """
    added: dict[int, int] = {}
    references = [_add_reference(connection, each, added) for each in placed]
    origin_ids = origins.find_or_add(connection, (each.new.source for each in placed))
    rows = [
        {**_row(each, reference), "origin_id": origin_ids[each.new.source]}
        for each, reference in zip(placed, references, strict=True)
    ]
    ids = connection.execute(_INSTANCE, rows).scalars().all()
    named = sorted(
        (uid, row)
        for row, each in zip(ids, placed, strict=True)
        for uid in {each.new.sop_instance_uid, each.new.original_sop_instance_uid}
    )  # one order: no deadlock between two writers
    connection.execute(_UIDS, [{"uid": uid, "instance_id": row} for uid, row in named])
    together = list(zip(ids, placed, references, strict=True))
    connection.execute(_HEADER, [_header_row(row, each, reference) for row, each, reference in together])
    if payloads := _payload_rows(ids, placed):
        connection.execute(_PAYLOAD, payloads)


def _row(placed: Placed, reference_id: int | None) -> Values:
    new = placed.new
    values: Values = {"series_id": placed.series_id, "received_at": placed.received_at}
    values |= {"header_bytes": len(placed.header.data), "state": schema.STORED, **instance_values(new, placed.common)}
    place = uid_of_study(new.attributes), uid_of_series(new.attributes), reference_id
    return {**values, "row_digest": seal(schema.instance, values, *place)}


def _payload_rows(ids: Sequence[int], placed: Sequence[Placed]) -> list[Values]:
    payloads = [(row, each.new.payload) for row, each in zip(ids, placed, strict=True)]
    return [
        {"instance_id": row, "digest": digest(payload), "data": payload}
        for row, payload in payloads
        if payload is not None
    ]


def _header_row(instance_id: int, placed: Placed, reference_id: int | None) -> Values:
    raw, packed = placed.new.header, placed.header.data
    return {"instance_id": instance_id, "reference_id": reference_id, **header_values(raw, packed)}


def header_values(raw: bytes, packed: bytes) -> Values:
    """A header's row, but for whose it is and what it is packed against."""
    return {"raw_length": len(raw), "raw_digest": digest(packed + raw), "digest": b"", "data": packed}


def _add_reference(connection: Connection, placed: Placed, added: dict[int, int]) -> int | None:
    """The row of the header's reference, written if it is new.

    added : rows of the references that were new in this transaction, by the `id` of their objects; a base is there
    before what leans on it. Raises BaseMissing where it is not: another process was faster with its instance.
    """
    header = placed.header
    if header.reference is None or header.reference_data is None:
        return header.reference.id if header.reference else None
    raw, data, base = header.reference.raw, header.reference_data, header.base
    if base is not None and base.id is None and id(base) not in added:
        raise BaseMissing
    row = {
        "series_id": placed.series_id,
        "transfer_syntax": placed.new.transfer_syntax,
        "raw_length": len(raw),
        "digest": seal_of(data, raw, base),
        "data": data,
        "base_id": None if base is None else base.id or added[id(base)],
    }
    row_id = int(connection.execute(_REFERENCE, row).scalar_one())
    added[id(header.reference)] = row_id
    return row_id


def _event(kind: str, source: ReceivedFrom, uid: str, outcome: str, detail: str, time: str) -> Values:
    uid, outcome, detail = map(cleaned, (uid, outcome, detail))
    about = {"time": time, "kind": kind, "uid": uid, "outcome": outcome, "detail": detail}
    return {**about, **origins.words_of(source)}
