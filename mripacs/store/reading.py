"""Reading instances back: identities from the index, bytes with their digests checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select

from mripacs.core.errors import DamagedInstanceError, QueryError
from mripacs.core.model import InstanceIdentity, InstanceSelection, StoredInstance
from mripacs.store import references, schema
from mripacs.store.certificates import from_columns, from_damaged
from mripacs.store.headers import Reference, ReferenceCache, digest, unpack
from mripacs.store.match_forms import require_storable, text_form
from mripacs.store.seals import instance_is_intact

MAX_UIDS = 30_000  # bound parameters: SQLite takes 32766, PostgreSQL 65535 in a statement
KEPT_STATEMENTS = 64  # one for each combination of a selection's fields, and a few statements
Row = Mapping[Any, Any]  # values by column name

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c
HIERARCHY = schema.study.join(schema.series, _series.study_id == _study.id).join(
    schema.instance, _instance.series_id == _series.id
)
ORDER = (_study.id, _series.id, _instance.instance_number.is_(None), _instance.instance_number, _instance.id)
_IDENTITY = (*schema.instance.c, _study.study_instance_uid, _series.series_instance_uid)
# What a selection names above instances, by its field.
ABOVE: Mapping[str, ColumnElement[Any]] = {
    "patient_ids": _study.patient_id,
    "study_uids": _study.study_instance_uid,
    "series_uids": _series.series_instance_uid,
}
_header, _payload, _reference = schema.header.c, schema.payload.c, schema.header_reference.c
_BLOBS = (
    _payload.data.label("payload_data"),
    _payload.digest.label("payload_digest"),
    _header.data.label("header_data"),
    _header.digest.label("header_digest"),
    _header.raw_length.label("header_raw_length"),
    _header.raw_digest.label("header_raw_digest"),
    _header.reference_id.label("header_reference_id"),
)

# Built once: building a statement takes longer than running it.
_NAMED = (
    select(schema.instance_uid.c.instance_id).where(schema.instance_uid.c.uid == bindparam("uid")).scalar_subquery()
)
_IDENTITIES = select(*(column for column in _IDENTITY if column is not _instance.attributes)).select_from(
    HIERARCHY
)  # without what nobody asks of an identity and takes a sixth of the time to decode
_IN_ORDER = _IDENTITIES.order_by(*ORDER)
IDENTITY_BY_UID = _IDENTITIES.where(_instance.id == _NAMED)
INDEX_ROWS = select(*_IDENTITY, _header.reference_id.label("header_reference_id")).select_from(
    HIERARCHY.outerjoin(schema.header, _header.instance_id == _instance.id)
)  # all that the digest of an instance's row is over
_ALL_BLOBS = select(*_IDENTITY, *_BLOBS).select_from(
    HIERARCHY.outerjoin(schema.payload, _payload.instance_id == _instance.id).outerjoin(
        schema.header, _header.instance_id == _instance.id
    )
)
_BLOBS_BY_UID = _ALL_BLOBS.where(_instance.id == _NAMED)
_BLOBS_BY_UIDS = _ALL_BLOBS.where(
    _instance.id.in_(
        select(schema.instance_uid.c.instance_id).where(
            schema.instance_uid.c.uid.in_(bindparam("uids", expanding=True))
        )
    )
)
_REFERENCES = (
    select(_reference.id)
    .join(schema.series, _reference.series_id == _series.id)
    .join(schema.study, _series.study_id == _study.id)
    .where(
        _study.study_instance_uid == bindparam("study"),
        _series.series_instance_uid == bindparam("series"),
        _reference.transfer_syntax == bindparam("syntax"),
    )
    .order_by(_reference.id)
)


def find_identity(connection: Connection, uid: str) -> InstanceIdentity | None:
    """The instance that is served, or was received, under the UID."""
    row = connection.execute(IDENTITY_BY_UID, {"uid": uid}).mappings().first()
    return identity_of(row) if row else None


def select_identities(connection: Connection, selection: InstanceSelection) -> list[InstanceIdentity]:
    """The instances selected, by study and series as they first came, then by Instance Number."""
    statement, values = restricted(_IN_ORDER, selection)
    return [identity_of(row) for row in connection.execute(statement, values).mappings()]


def restricted(statement: Select[Any], selection: InstanceSelection) -> tuple[Select[Any], dict[str, list[str]]]:
    """A select from HIERARCHY, restricted to the instances that the selection names, and its parameters' values.

    statement : one that is made once, such as a module's own: what is made of it is kept. Raises QueryError.
    """
    values = values_of(selection)
    return _restricted(statement, tuple(values)), values


@lru_cache(KEPT_STATEMENTS)
def _restricted(statement: Select[Any], names: tuple[str, ...]) -> Select[Any]:
    uids = schema.instance_uid.c
    named = select(uids.instance_id).where(uids.uid.in_(bindparam("sop_instance_uids", expanding=True)))
    conditions = {
        **{name: column.in_(bindparam(name, expanding=True)) for name, column in ABOVE.items()},
        "sop_instance_uids": _instance.id.in_(named),
    }
    return statement.where(*(conditions[name] for name in names))


def values_of(selection: InstanceSelection) -> dict[str, list[str]]:
    """The values that a selection names, by its field, as they are stored; QueryError for what no statement takes."""
    given = {
        "patient_ids": [text_form(patient_id) or "" for patient_id in selection.patient_ids],
        "study_uids": list(selection.study_uids),
        "series_uids": list(selection.series_uids),
        "sop_instance_uids": list(selection.sop_instance_uids),
    }
    values = {name: each for name, each in given.items() if each}
    for name, each in values.items():
        _require_askable(name, each)
    return values


def find_aliases(connection: Connection, uids: Iterable[str]) -> dict[str, str]:
    """Served UID by original UID, for those of the given originals that are served under another."""
    found: dict[str, str] = {}
    pairs = select(_instance.original_sop_instance_uid, _instance.sop_instance_uid).join(
        schema.instance_uid, schema.instance_uid.c.instance_id == _instance.id
    )
    remaining = iter(uids)
    while chunk := list(islice(remaining, MAX_UIDS)):
        named = pairs.where(
            schema.instance_uid.c.uid.in_(chunk), schema.instance_uid.c.uid == _instance.original_sop_instance_uid
        )
        found.update((original, served) for original, served in connection.execute(named))
    return found


def page_of_uids(connection: Connection, after: str | None, length: int) -> list[str]:
    """The next served UIDs in code point order."""
    uid = schema.instance_uid.c.uid
    served = select(uid).join(schema.instance, _instance.id == schema.instance_uid.c.instance_id)
    served = served.where(uid == _instance.sop_instance_uid, uid > (after or "")).order_by(uid).limit(length)
    return list(connection.execute(served).scalars())


def page_of_instances(connection: Connection, after: int, length: int) -> list[tuple[int, str]]:
    """The next row numbers of instances, in their order, with the UIDs they are served under."""
    rows = select(_instance.id, _instance.sop_instance_uid).where(_instance.id > after).order_by(_instance.id)
    return [(row.id, row.sop_instance_uid) for row in connection.execute(rows.limit(length))]


def quarantined_identities(connection: Connection) -> list[InstanceIdentity]:
    """The instances that are not given out because they were found damaged."""
    statement = _IDENTITIES.where(_instance.state != schema.STORED).order_by(*ORDER)
    return [identity_of(row) for row in connection.execute(statement).mappings()]


def load_instance(connection: Connection, uid: str, cache: ReferenceCache) -> StoredInstance | None:
    """The instance's bytes; None when the UID is unknown; DamagedInstanceError naming the part that is wrong."""
    row = connection.execute(_BLOBS_BY_UID, {"uid": uid}).mappings().first()
    return None if row is None else _stored(connection, row, cache)


def load_instances(
    connection: Connection, uids: Sequence[str], cache: ReferenceCache
) -> dict[str, StoredInstance | DamagedInstanceError]:
    """As `load_instance`, of several by one statement: by the UIDs they are served under; unknown ones are left out.

    uids : MAX_UIDS at most; their bytes are all in memory at once.
    """
    found: dict[str, StoredInstance | DamagedInstanceError] = {}
    for row in connection.execute(_BLOBS_BY_UIDS, {"uids": list(uids)}).mappings():
        try:
            found[row["sop_instance_uid"]] = _stored(connection, row, cache)
        except DamagedInstanceError as error:  # concerns this one alone
            found[row["sop_instance_uid"]] = error
    return found


def _stored(connection: Connection, row: Row, cache: ReferenceCache) -> StoredInstance:
    identity = identity_of(row)
    if identity.quarantined:
        raise damaged(row, "data", "were found damaged: it is in quarantine")
    payload = checked_payload(row)
    header = checked_header(row, find_reference(connection, row, cache))
    if not instance_is_intact(row):
        raise damaged(row, "index row", "does not match its digest")
    return StoredInstance(identity, header, row["pixel_offset"], payload)


def checked_payload(row: Row) -> bytes | None:
    """The payload of a row of `rows_with_blobs`; None for a verbatim instance."""
    payload: bytes | None = row["payload_data"]
    if payload is None:
        if row["payload_bytes"]:
            raise damaged(row, "payload", "is missing")
        return None
    if digest(payload) != row["payload_digest"]:
        raise damaged(row, "payload", "does not match its digest")
    return payload


def checked_header(row: Row, reference: Reference | None) -> bytes:
    """The header of a row of `rows_with_blobs`, unpacked."""
    if row["header_data"] is None:
        raise damaged(row, "header", "is missing")
    packed, of_packed = row["header_data"], row["header_digest"]
    if of_packed and digest(packed) != of_packed:
        raise damaged(row, "header", "does not match its digest")
    try:
        header = unpack(row["header_data"], row["header_raw_length"], reference)
    except ValueError as error:
        raise damaged(row, "header", f"cannot be unpacked: {error}") from error
    if digest(header if of_packed else packed + header) != row["header_raw_digest"]:
        raise damaged(row, "header", "does not match its digest after unpacking")
    return header


def find_reference(connection: Connection, row: Row, cache: ReferenceCache) -> Reference | None:
    """The reference that the row's header was packed against, its digest checked when it is read."""
    if row["header_reference_id"] is None:
        return None
    try:
        return cache.get(row["header_reference_id"], lambda row_id: references.read(connection, row_id))
    except ValueError as error:
        raise damaged(row, "header reference", str(error)) from error


def references_of(connection: Connection, study_uid: str, series_uid: str, transfer_syntax: str) -> list[int]:
    """Rows of the references of a series in a transfer syntax, oldest first."""
    wanted = {"study": study_uid, "series": series_uid, "syntax": transfer_syntax}
    return list(connection.execute(_REFERENCES, wanted).scalars())


def rows_with_blobs(connection: Connection, uid: str) -> Iterator[Row]:
    """The instance's row with payload and header columns (payload_*, header_*), unchecked; empty when unknown."""
    yield from connection.execute(_BLOBS_BY_UID, {"uid": uid}).mappings()


def damaged(row: Row, part: str, how: str) -> DamagedInstanceError:
    """The error for a part of the row's instance."""
    return DamagedInstanceError(f"instance {row['sop_instance_uid']}: its {part} {how}")


def any_of(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Membership; QueryError for more values than a statement takes, and for those that no database takes."""
    _require_askable(str(column.key), values)
    return column.in_(values)


def _require_askable(what: str, values: Sequence[Any]) -> None:
    if len(values) > MAX_UIDS:
        raise QueryError(f"{len(values)} values for one key; at most {MAX_UIDS} are taken")
    require_storable(what, (value for value in values if isinstance(value, str)))


def identity_of(row: Row) -> InstanceIdentity:
    """The identity in a row with all columns of the instance and the UIDs of its study and series."""
    return InstanceIdentity(
        sop_class_uid=row["sop_class_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        original_sop_instance_uid=row["original_sop_instance_uid"] or row["sop_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        transfer_syntax=row["transfer_syntax"],
        certificate=from_columns(row) if row["state"] == schema.STORED else from_damaged(row),
        payload_bytes=row["payload_bytes"],
        header_bytes=row["header_bytes"],
        received_at=row["received_at"],
        quarantined=row["state"] != schema.STORED,
    )
