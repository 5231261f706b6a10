"""Taking instances out: their rows, and what nothing needs any more after them.

The order of a deletion or replacement is `claim`, `remove`, whatever takes their place, `tidy`. A header reference
stays while any header of its series was packed against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, literal, select, union_all

from mripacs.core.model import Deletion, InstanceSelection, NewInstance, ReceivedFrom
from mripacs.store import name_parts, origins, references, schema
from mripacs.store.locks import own_studies
from mripacs.store.reading import HIERARCHY, restricted
from mripacs.store.tallies import recount
from mripacs.store.waiting import among
from mripacs.store.writing import write_event

IDS_AT_ONCE = 10_000  # bound parameters of one statement

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c
_reference, _header, _uid = schema.header_reference.c, schema.header.c, schema.instance_uid.c
_waiting = schema.waiting.c


class Victim(NamedTuple):
    """An instance that is about to go."""

    id: int
    sop_instance_uid: str
    received_digest: bytes
    payload_bytes: int
    header_bytes: int
    series_id: int
    study_id: int
    study_instance_uid: str


_VICTIMS = (
    select(
        _instance.id,
        _instance.sop_instance_uid,
        _instance.received_digest,
        _instance.payload_bytes,
        _instance.header_bytes,
        _instance.series_id,
        _series.study_id,
        _study.study_instance_uid,
    )
    .select_from(HIERARCHY)
    .order_by(_instance.id)
)


_WAITING_VICTIMS = (
    select(
        _waiting.id,
        _waiting.uid,
        _waiting.digest,
        func.length(_waiting.data),
        literal(0),
        _waiting.series_id,
        _series.study_id,
        _study.study_instance_uid,
    )
    .join(schema.series, _waiting.series_id == _series.id)
    .join(schema.study, _series.study_id == _study.id)
    .order_by(_waiting.id)
)

EMPTY_SERIES = (
    ~select(_instance.id).where(_instance.series_id == _series.id).exists(),
    ~select(_waiting.id).where(_waiting.series_id == _series.id).exists(),
)


def claim(connection: Connection, selection: InstanceSelection, *also: str) -> list[Victim]:
    """The selected instances, their studies (and the studies `also`) held alone until the transaction ends.

    What comes into other studies while the locks are waited for is left out.
    """
    statement, values = restricted(_VICTIMS, selection)
    studies = {row.study_instance_uid for row in connection.execute(statement, values)} | set(also)
    own_studies(connection, studies)
    return [Victim(*row) for row in connection.execute(statement, values) if row.study_instance_uid in studies]


def remove_waiting(connection: Connection, selection: InstanceSelection) -> list[Victim]:
    """Delete what still waits of a selection: what could not be compressed, or came since; says what it was.

    Its digest is that of the received bytes, its payload all of them.
    """
    statement, values = among(_WAITING_VICTIMS, selection)
    studies = {row.study_instance_uid for row in connection.execute(statement, values)}
    own_studies(connection, studies)
    victims = [Victim(*row) for row in connection.execute(statement, values) if row.study_instance_uid in studies]
    for ids in _chunks([victim.id for victim in victims]):
        connection.execute(delete(schema.waiting).where(_waiting.id.in_(ids)))
    return victims


def remove(connection: Connection, victims: Sequence[Victim]) -> None:
    """Delete the instances' rows with their UIDs, headers and payloads; their storage stays told."""
    for ids in _chunks([victim.id for victim in victims]):
        origins.write_events(connection, ids)
        _drop_uids(connection, ids)
        connection.execute(delete(schema.instance).where(_instance.id.in_(ids)))


def tidy(connection: Connection, victims: Sequence[Victim]) -> Deletion:
    """Drop the references, series and studies that are left empty, count the others anew, and say what has gone."""
    series_ids = sorted({victim.series_id for victim in victims})
    study_ids = sorted({victim.study_id for victim in victims})
    reference_bytes = sum(_drop_references(connection, ids) for ids in _chunks(series_ids))
    emptied_series = sum(_drop_series(connection, ids) for ids in _chunks(series_ids))
    emptied_studies = sum(_drop_studies(connection, ids) for ids in _chunks(study_ids))
    recount(connection, study_ids)
    return Deletion(
        sop_instance_uids=tuple(victim.sop_instance_uid for victim in victims),
        series=emptied_series,
        studies=emptied_studies,
        payload_bytes=sum(victim.payload_bytes for victim in victims),
        header_bytes=sum(victim.header_bytes for victim in victims),
        reference_bytes=reference_bytes,
    )


def write_events(
    connection: Connection,
    selection: InstanceSelection,
    victims: Sequence[Victim],
    deletion: Deletion,
    source: ReceivedFrom,
) -> None:
    """One audit event for the deletion, by the UID that was asked for, and one for each instance."""
    asked = selection.sop_instance_uids or selection.series_uids or selection.study_uids or ("",)
    detail = (
        f"{len(victims)} instances, {deletion.series} series, {deletion.studies} studies, {deletion.freed_bytes} bytes"
    )
    write_event(connection, "delete", source, " ".join(asked), "deleted", detail)
    for victim in victims:
        digests = f"study {victim.study_instance_uid}, SHA-256 {victim.received_digest.hex()}"
        write_event(connection, "delete instance", source, victim.sop_instance_uid, "deleted", digests)


def write_replacements(connection: Connection, victims: Sequence[Victim], new: NewInstance) -> None:
    """Two audit events for each instance whose place the new one took: it is gone as after any deletion."""
    for victim in victims:
        digest = f"SHA-256 {victim.received_digest.hex()}"
        gone = f"study {victim.study_instance_uid}, {digest}"
        write_event(connection, "delete instance", new.source, victim.sop_instance_uid, "replaced", gone)
        digests = f"{digest} is replaced by {new.certificate.received_digest}"
        write_event(connection, "conflict", new.source, victim.sop_instance_uid, "replaced", digests)


def _drop_uids(connection: Connection, ids: Sequence[int]) -> None:
    """By the UIDs in the instances' rows; where one of those is damaged, whatever leads there is looked for."""
    chosen = _instance.id.in_(ids)
    received = select(_instance.original_sop_instance_uid).where(
        chosen, _instance.original_sop_instance_uid.is_not(None)
    )
    named = union_all(select(_instance.sop_instance_uid).where(chosen), received)
    count = connection.execute(select(func.count()).select_from(named.subquery())).scalar_one()
    dropped = connection.execute(delete(schema.instance_uid).where(_uid.uid.in_(named), _uid.instance_id.in_(ids)))
    if dropped.rowcount != count:
        connection.execute(delete(schema.instance_uid).where(_uid.instance_id.in_(ids)))


def _drop_references(connection: Connection, series_ids: Sequence[int]) -> int:
    """Their bytes. What leans on them stands alone first, so that nothing of them stays."""
    references.free_unused(connection, series_ids)
    unused = (_reference.series_id.in_(series_ids), references.UNUSED)
    dropped = delete(schema.header_reference).where(*unused).returning(func.length(_reference.data))
    return sum(connection.execute(dropped).scalars())


def _drop_series(connection: Connection, series_ids: Sequence[int]) -> int:
    """Their number."""
    dropped = delete(schema.series).where(_series.id.in_(series_ids), *EMPTY_SERIES).returning(_series.id)
    return len(connection.execute(dropped).all())


def _drop_studies(connection: Connection, study_ids: Sequence[int]) -> int:
    """Their number."""
    empty = ~select(_series.id).where(_series.study_id == _study.id).exists()
    dropped = delete(schema.study).where(_study.id.in_(study_ids), empty).returning(_study.id)
    gone = connection.execute(dropped).scalars().all()
    if gone:
        name_parts.drop(connection, gone)
    return len(gone)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE))
