"""What `mripacs admin verify` asks the store: digests of stored bytes, and whether rows agree with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from mripacs.core.errors import DamagedInstanceError, UnknownInstanceError
from mripacs.core.model import VerifyFinding
from mripacs.store import references, schema
from mripacs.store.certificates import unpack
from mripacs.store.headers import ReferenceCache, digest
from mripacs.store.name_parts import parts_of
from mripacs.store.reading import Row, checked_header, checked_payload, find_reference, rows_with_blobs
from mripacs.store.seals import instance_is_intact, series_is_intact, study_is_intact
from mripacs.store.tallies import instances_of_series, joined_modalities

NO_MATCH = "does not match its digest"
ROWS_AT_ONCE = 500

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c


def verify_bytes(connection: Connection, uid: str) -> list[VerifyFinding]:
    """Findings about payload, header and header reference of one instance, read from the disk, not from a cache."""
    row = next(iter(rows_with_blobs(connection, uid)), None)
    if row is None:
        raise UnknownInstanceError(f"no instance {uid} is stored")
    served = row["sop_instance_uid"]
    findings = [*_attempt(served, "payload", lambda: checked_payload(row))]
    try:
        reference = find_reference(connection, row, ReferenceCache())
    except DamagedInstanceError as error:
        return [*findings, VerifyFinding(served, "header reference", str(error))]
    findings += _attempt(served, "header", lambda: checked_header(row, reference))
    if not instance_is_intact(row):
        findings.append(VerifyFinding(served, "index", f"the row of the instance {NO_MATCH}"))
    if row["state"] != schema.STORED:
        findings.append(VerifyFinding(served, "quarantine", f"its state is {row['state']}: it is not given out"))
    return findings + _wrong_sizes(served, row)


def check_references(connection: Connection) -> list[VerifyFinding]:
    """Findings about rows that miss their counterpart or miscount them, and about damaged header references."""
    findings = [
        VerifyFinding(uid, part, detail)
        for part, detail, statement in _INCONSISTENT
        for uid in connection.execute(statement).scalars()
    ]
    damaged = (_damaged_references, _damaged_studies, _damaged_series, _damaged_waiting)
    return findings + [finding for find in damaged for finding in find(connection)]


def _attempt(uid: str, part: str, check: Callable[[], object]) -> Iterator[VerifyFinding]:
    try:
        check()
    except DamagedInstanceError as error:
        yield VerifyFinding(uid, part, str(error))


def _wrong_sizes(uid: str, row: Row) -> list[VerifyFinding]:
    sizes = {part: len(row[f"{part}_data"] or b"") for part in ("payload", "header")}
    wrong = [(part, size) for part, size in sizes.items() if row[f"{part}_bytes"] != size]
    return [
        VerifyFinding(uid, "index", f"{part}: {row[f'{part}_bytes']} bytes on record, {size} stored")
        for part, size in wrong
    ] + _wrong_pixel_bytes(uid, row)


def _wrong_pixel_bytes(uid: str, row: Row) -> list[VerifyFinding]:
    said = unpack(row["certificate"]).get("received_pixel_bytes")
    if row["received_pixel_bytes"] == said:
        return []
    return [VerifyFinding(uid, "index", f"pixels: {row['received_pixel_bytes']} bytes, {said} by the certificate")]


def _damaged_references(connection: Connection) -> Iterator[VerifyFinding]:
    reference = schema.header_reference.c
    rows = select(reference.id, _series.series_instance_uid).join(schema.series, _series.id == reference.series_id)
    for row_id, series_uid in connection.execute(rows).all():
        try:
            references.read(connection, row_id)
        except ValueError as error:
            yield VerifyFinding(series_uid, "header reference", f"header reference {row_id} of the series {error}")


def _damaged_studies(connection: Connection) -> Iterator[VerifyFinding]:
    """Rows that do not match their digest, modalities that are not those of their series, and parts of other names."""
    rows = select(schema.study).execution_options(yield_per=ROWS_AT_ONCE)
    modalities: dict[int, list[str | None]] = {}
    parts: dict[int, set[str]] = {}
    for part, study_id in connection.execute(select(schema.name_part.c.part, schema.name_part.c.study_id)):
        parts.setdefault(study_id, set()).add(part)
    for study_id, modality in connection.execute(select(_series.study_id, _series.modality)):
        modalities.setdefault(study_id, []).append(modality)
    for row in connection.execute(rows).mappings():
        if not study_is_intact(row):
            yield VerifyFinding(row["study_instance_uid"], "index", f"the row of the study {NO_MATCH}")
        if row["modalities"] != joined_modalities(modalities.get(row["id"], [])):
            yield VerifyFinding(
                row["study_instance_uid"], "index", "the study's modalities are not those of its series"
            )
        if parts.pop(row["id"], set()) != parts_of(row):
            yield VerifyFinding(row["study_instance_uid"], "index", "the patient's name is not found by its parts")
    for study_id in sorted(parts):
        yield VerifyFinding("", "index", f"parts of a name lead to study {study_id}, which is not there")


def _damaged_series(connection: Connection) -> Iterator[VerifyFinding]:
    rows = select(schema.series, _study.study_instance_uid).join(schema.study, _study.id == _series.study_id)
    for row in connection.execute(rows.execution_options(yield_per=ROWS_AT_ONCE)).mappings():
        if not series_is_intact(row):
            yield VerifyFinding(row["series_instance_uid"], "index", f"the row of the series {NO_MATCH}")


def _damaged_waiting(connection: Connection) -> Iterator[VerifyFinding]:
    """Acknowledged objects that can no longer become the instances that they were."""
    waiting = schema.waiting.c
    for number in connection.execute(select(waiting.id).order_by(waiting.id)).scalars().all():
        row = connection.execute(select(waiting.uid, waiting.digest, waiting.data).where(waiting.id == number)).first()
        if row is not None and digest(row.data) != row.digest:
            yield VerifyFinding(row.uid, "waiting object", f"the bytes received {NO_MATCH}")


def _count(of: ColumnElement[Any], *where: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.count(of)).where(*where).scalar_subquery()


_instances_of_study = (
    select(func.coalesce(func.sum(instances_of_series), 0))
    .where(_series.study_id == _study.id)
    .correlate(schema.study)
    .scalar_subquery()
)
_base, _series_of_base = schema.header_reference.alias("base"), schema.series.alias("series_of_base")
_header, _payload, _uid = schema.header.c, schema.payload.c, schema.instance_uid.c

CANNOT_BE_FOUND = _count(
    _uid.uid,
    _uid.instance_id == _instance.id,
    _uid.uid.in_([_instance.sop_instance_uid, _instance.original_sop_instance_uid]),
) != case((_instance.original_sop_instance_uid.is_(None), 1), else_=2)

# What is wrong, where, and the UIDs that it is wrong of.
_INCONSISTENT: tuple[tuple[str, str, Select[Any]], ...] = (
    (
        "index",
        "the study's counts differ from its series and instances",
        select(_study.study_instance_uid).where(
            or_(
                _study.number_of_series != _count(_series.id, _series.study_id == _study.id),
                _study.number_of_instances != _instances_of_study,
            )
        ),
    ),
    (
        "index",
        "the series' count differs from its instances",
        select(_series.series_instance_uid).where(_series.number_of_instances != instances_of_series),
    ),
    (
        "header",
        "the instance has no header",
        select(_instance.sop_instance_uid).where(_count(_header.instance_id, _header.instance_id == _instance.id) == 0),
    ),
    (
        "payload",
        "the instance has no payload",
        select(_instance.sop_instance_uid).where(
            _instance.payload_bytes > 0, _count(_payload.instance_id, _payload.instance_id == _instance.id) == 0
        ),
    ),
    (
        "index",
        "the instance cannot be found by its UIDs",
        select(_instance.sop_instance_uid).where(CANNOT_BE_FOUND),
    ),
    (
        "index",
        "the UID leads to no instance, or to one that has another",
        select(_uid.uid)
        .select_from(schema.instance_uid.outerjoin(schema.instance, _uid.instance_id == _instance.id))
        .where(
            or_(
                _instance.id.is_(None),
                and_(
                    _uid.uid != _instance.sop_instance_uid,
                    or_(
                        _instance.original_sop_instance_uid.is_(None),
                        _uid.uid != _instance.original_sop_instance_uid,
                    ),
                ),
            )
        ),
    ),
    (
        "header reference",
        "the header's reference is of another series or transfer syntax",
        select(_instance.sop_instance_uid)
        .join(schema.header, _header.instance_id == _instance.id)
        .join(schema.header_reference, schema.header_reference.c.id == _header.reference_id)
        .where(
            or_(
                schema.header_reference.c.series_id != _instance.series_id,
                schema.header_reference.c.transfer_syntax != _instance.transfer_syntax,
            )
        ),
    ),
    (
        "header reference",
        "the series' header reference leans on one of another study",
        select(_series.series_instance_uid)
        .join(schema.header_reference, schema.header_reference.c.series_id == _series.id)
        .join(_base, _base.c.id == schema.header_reference.c.base_id)
        .join(_series_of_base, _series_of_base.c.id == _base.c.series_id)
        .where(_series_of_base.c.study_id != _series.study_id),
    ),
    (
        "header reference",
        "the header's reference is missing",
        select(_instance.sop_instance_uid)
        .join(schema.header, _header.instance_id == _instance.id)
        .where(
            _header.reference_id.is_not(None),
            _count(schema.header_reference.c.id, schema.header_reference.c.id == _header.reference_id) == 0,
        ),
    ),
)
