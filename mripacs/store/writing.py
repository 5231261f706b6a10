"""Writing one instance: a single transaction from study row to audit event.

Rows that many instances share (study, series) are inserted "on conflict do nothing", so that two nodes may create them at
once. Their counts are updated last: that is where writers of one study wait for each other on PostgreSQL, so the wait is short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mripacs.core.model import NewInstance, ReceivedFrom
from mripacs.store import schema
from mripacs.store.certificates import to_columns
from mripacs.store.headers import PackedHeader, Reference, digest, pack_alone
from mripacs.store.match_forms import (
    date_form,
    difference,
    name_forms,
    number_form,
    patient_key,
    storable,
    text_form,
    time_form,
)

Attributes = Mapping[str, str | int]
_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class WrittenInstance:
    """What the transaction made: the row of a new header reference, if any, and the time of receipt."""

    reference_id: int | None
    reference_bytes: int
    received_at: str


def write_instance(connection: Connection, new: NewInstance, header: PackedHeader) -> WrittenInstance:
    """Write all rows of an instance; IntegrityError when one of its UIDs names an instance already."""
    received_at = now()
    study_id = _study(connection, new)
    series_id, common = _series(connection, study_id, new)
    reference_id, reference_bytes = _reference(connection, series_id, new.transfer_syntax, header.reference)
    instance_id = _instance(connection, series_id, new, common, len(header.data), received_at)
    _blobs(connection, instance_id, new, header, reference_id)
    write_event(connection, "store", new.source, new.sop_instance_uid, "stored", str(new.certificate.tier), received_at)
    _count(connection, study_id, series_id)
    return WrittenInstance(reference_id, reference_bytes, received_at)


def write_event(
    connection: Connection, kind: str, source: ReceivedFrom, uid: str, outcome: str, detail: str, time: str
) -> None:
    """One audit row."""
    values = {"time": time, "kind": kind, "uid": uid, "outcome": outcome, "detail": detail}
    origin = {"door": source.door, "calling_ae": source.calling_ae, "called_ae": source.called_ae, "peer": source.peer}
    connection.execute(insert(schema.event).values(storable({**values, **origin})))


def now() -> str:
    """The time as ISO 8601 in UTC with microseconds, which sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _study(connection: Connection, new: NewInstance) -> int:
    patient, study = storable(new.attributes.patient), storable(new.attributes.study)
    name, physician = name_forms(patient.get("PatientName")), name_forms(study.get("ReferringPhysicianName"))
    values = {
        "study_instance_uid": study["StudyInstanceUID"],
        "patient_key": patient_key(patient),
        "patient_id": text_form(patient.get("PatientID")),
        "patient_birth_date": date_form(patient.get("PatientBirthDate")),
        "study_date": date_form(study.get("StudyDate")),
        "study_time": time_form(study.get("StudyTime")),
        "accession_number": text_form(study.get("AccessionNumber")),
        **_grouped("patient_name", name),
        **_grouped("referring_physician_name", physician),
        "modalities": "",
        "number_of_series": 0,
        "number_of_instances": 0,
        "patient_attributes": patient,
        "attributes": study,
    }
    return int(_find_or_insert(connection, schema.study, values, ("study_instance_uid",))["id"])


def _series(connection: Connection, study_id: int, new: NewInstance) -> tuple[int, Attributes]:
    """The series' row and the attributes of its first instance."""
    attributes = storable(new.attributes.series)
    values = {
        "study_id": study_id,
        "series_instance_uid": attributes["SeriesInstanceUID"],
        "modality": text_form(attributes.get("Modality")),
        "series_number": number_form(attributes.get("SeriesNumber")),
        "number_of_instances": 0,
        "attributes": attributes,
        "instance_attributes": _beside_columns(new),
    }
    row = _find_or_insert(connection, schema.series, values, ("study_id", "series_instance_uid"))
    return row["id"], row["instance_attributes"]


def _reference(
    connection: Connection, series_id: int, transfer_syntax: str, reference: Reference | None
) -> tuple[int | None, int]:
    """The reference's row, written if it is new; and the bytes that it added."""
    if reference is None or reference.id is not None:
        return (reference.id if reference else None), 0
    data = pack_alone(reference.raw)
    values = {
        "series_id": series_id,
        "transfer_syntax": transfer_syntax,
        "raw_length": len(reference.raw),
        "digest": digest(data),
        "data": data,
    }
    return _insert(connection, schema.header_reference, values), len(data)


def _instance(
    connection: Connection, series_id: int, new: NewInstance, common: Attributes, header_bytes: int, received_at: str
) -> int:
    renamed = new.sop_instance_uid != new.original_sop_instance_uid
    values = {
        "series_id": series_id,
        "sop_class_uid": new.sop_class_uid,
        "sop_instance_uid": new.sop_instance_uid,
        "original_sop_instance_uid": new.original_sop_instance_uid if renamed else None,
        "transfer_syntax": new.transfer_syntax,
        "instance_number": number_form(new.attributes.instance.get("InstanceNumber")),
        "attributes": difference(_beside_columns(new), common),
        "received_at": received_at,
        "payload_bytes": len(new.payload or b""),
        "header_bytes": header_bytes,
        "pixel_offset": new.pixel_offset,
        **to_columns(new.certificate),
    }
    instance_id = _insert(connection, schema.instance, values)
    uids = sorted({new.sop_instance_uid, new.original_sop_instance_uid})  # one order: writers of a pair cannot deadlock
    connection.execute(insert(schema.instance_uid), [{"uid": uid, "instance_id": instance_id} for uid in uids])
    return instance_id


def _blobs(
    connection: Connection, instance_id: int, new: NewInstance, header: PackedHeader, reference_id: int | None
) -> None:
    row = {
        "instance_id": instance_id,
        "reference_id": reference_id,
        "raw_length": len(new.header),
        "raw_digest": digest(new.header),
        "digest": digest(header.data),
        "data": header.data,
    }
    connection.execute(insert(schema.header).values(row))
    if new.payload is not None:
        payload = {"instance_id": instance_id, "digest": digest(new.payload), "data": new.payload}
        connection.execute(insert(schema.payload).values(payload))


def _count(connection: Connection, study_id: int, series_id: int) -> None:
    """One instance more; a series' first one also changes the number of series and the study's modalities."""
    study, series = schema.study.c, schema.series.c
    one_more = (
        update(schema.study).where(study.id == study_id).values(number_of_instances=study.number_of_instances + 1)
    )
    connection.execute(one_more)  # first, so that writers of one study queue here and see each other's series
    counted = update(schema.series).where(series.id == series_id)
    counted = counted.values(number_of_instances=series.number_of_instances + 1).returning(series.number_of_instances)
    if connection.execute(counted).scalar_one() > 1:
        return
    members = select(series.modality).where(series.study_id == study_id, series.number_of_instances > 0)
    modalities = [modality for (modality,) in connection.execute(members)]
    values = {"number_of_series": len(modalities), "modalities": "\\".join(sorted({m for m in modalities if m}))}
    connection.execute(update(schema.study).where(study.id == study_id).values(values))


def _grouped(name: str, groups: tuple[str | None, str | None, str | None]) -> dict[str, str | None]:
    return dict(zip((f"{name}_alphabetic", f"{name}_ideographic", f"{name}_phonetic"), groups, strict=True))


def _beside_columns(new: NewInstance) -> Attributes:
    """Attributes of the instance that have no column of their own to be returned from."""
    attributes = storable(new.attributes.instance)
    return {keyword: value for keyword, value in attributes.items() if keyword not in ("SOPClassUID", "SOPInstanceUID")}


def _find_or_insert(
    connection: Connection, table: Table, values: Mapping[str, Any], unique: tuple[str, ...]
) -> Mapping[str, Any]:
    """The row with these unique values, inserted unless it is there."""
    wanted = select(table).where(*(table.c[name] == values[name] for name in unique))
    row = connection.execute(wanted).mappings().first()
    if row is None:
        add = _INSERTS[connection.dialect.name](table).values(values).on_conflict_do_nothing(index_elements=unique)
        connection.execute(add)
        row = connection.execute(wanted).mappings().one()
    return dict(row)


def _insert(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    return int(connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one())
