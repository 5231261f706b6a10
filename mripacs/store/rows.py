"""The column values of a new instance, its series and its study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mripacs.core.model import IndexAttributes, NewInstance
from mripacs.store.certificates import to_columns
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
Values = dict[str, Any]
_HAVE_COLUMNS = ("SOPClassUID", "SOPInstanceUID")  # of the instance: given out from there


def study_values(found: IndexAttributes) -> Values:
    """Values of the study's row, without instances yet."""
    patient, study = storable(found.patient), storable(found.study)
    return {
        "study_instance_uid": study["StudyInstanceUID"],
        "patient_key": patient_key(patient),
        "patient_id": text_form(patient.get("PatientID")),
        "patient_birth_date": date_form(patient.get("PatientBirthDate")),
        "study_date": date_form(study.get("StudyDate")),
        "study_time": time_form(study.get("StudyTime")),
        "accession_number": text_form(study.get("AccessionNumber")),
        **_name_values("patient_name", patient.get("PatientName")),
        **_name_values("referring_physician_name", study.get("ReferringPhysicianName")),
        "modalities": "",
        "number_of_series": 0,
        "number_of_instances": 0,
        "patient_attributes": patient,
        "attributes": study,
    }


def series_values(found: IndexAttributes) -> Values:
    """Values of the series' row, without its study's id and without instances yet."""
    attributes = storable(found.series)
    return {
        "series_instance_uid": attributes["SeriesInstanceUID"],
        "modality": text_form(attributes.get("Modality")),
        "series_number": number_form(attributes.get("SeriesNumber")),
        "number_of_instances": 0,
        "attributes": attributes,
        "instance_attributes": _without_columns(found),
    }


def instance_values(new: NewInstance, common: Attributes) -> Values:
    """Values of the instance's row that follow from it and from the attributes of its series' first instance."""
    renamed = new.sop_instance_uid != new.original_sop_instance_uid
    return {
        "sop_class_uid": new.sop_class_uid,
        "sop_instance_uid": new.sop_instance_uid,
        "original_sop_instance_uid": new.original_sop_instance_uid if renamed else None,
        "transfer_syntax": new.transfer_syntax,
        "instance_number": number_form(new.attributes.instance.get("InstanceNumber")),
        "attributes": difference(_without_columns(new.attributes), common),
        "payload_bytes": len(new.payload or b""),
        "pixel_offset": new.pixel_offset,
        **to_columns(new.certificate),
    }


def _without_columns(found: IndexAttributes) -> Attributes:
    attributes = storable(found.instance)
    return {keyword: value for keyword, value in attributes.items() if keyword not in _HAVE_COLUMNS}


def _name_values(column: str, name: str | int | None) -> dict[str, str | None]:
    groups = ("alphabetic", "ideographic", "phonetic")
    return {f"{column}_{group}": form for group, form in zip(groups, name_forms(name), strict=True)}
