"""Attributes that a query can match or have counted: at which level they stand, how they compare, where they are kept.

Without a column a value is matched inside the level's JSON object: slower, always right. What is in no table here is
ignored as a matching key (PS3.4 C.2.2.1.3: unsupported optional keys), but returned if the index kept it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, select

from mripacs.core.model import Generation, Level
from mripacs.store import schema
from mripacs.store.short_forms import spelled

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c

RANK = {Level.PATIENT: 0, Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}
ATTRIBUTES: Mapping[Level, ColumnElement[Any]] = {
    Level.PATIENT: _study.patient_attributes,
    Level.STUDY: _study.attributes,
    Level.SERIES: _series.attributes,
    Level.IMAGE: _instance.attributes,
}


class Kind(StrEnum):
    """How the values of a key compare. Names without columns are TEXTS: compared whole, case folded for ASCII only."""

    TEXT = "text"
    TEXTS = "texts"  # multi-valued: one matching value is enough
    NAME = "name"  # PN: any component group, or group by group when the key has "="
    DATE = "date"
    TIME = "time"
    NUMBER = "number"
    SOP_INSTANCE_UID = "SOP Instance UID"  # as served or as received
    MODALITIES = "modalities"  # of the study's series


@dataclass(frozen=True, slots=True)
class Key:
    """One matchable attribute."""

    level: Level
    kind: Kind
    column: str | None = None  # of the level's table; None: in its JSON object


def _keys(level: Level, kind: Kind, keywords: str) -> dict[str, Key]:
    """Keys that are matched inside the level's JSON object."""
    return {keyword: Key(level, kind) for keyword in keywords.split()}


_P, _ST, _SE, _I = Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE

KEYS: Mapping[str, Key] = {
    "PatientID": Key(_P, Kind.TEXT, "patient_id"),
    "PatientName": Key(_P, Kind.NAME, "patient_name"),
    "PatientBirthDate": Key(_P, Kind.DATE, "patient_birth_date"),
    **_keys(_P, Kind.TEXT, "IssuerOfPatientID PatientSex EthnicGroup PatientComments"),
    **_keys(_P, Kind.TEXTS, "OtherPatientIDs OtherPatientNames"),
    **_keys(_P, Kind.TIME, "PatientBirthTime"),
    "StudyInstanceUID": Key(_ST, Kind.TEXT, "study_instance_uid"),
    "StudyDate": Key(_ST, Kind.DATE, "study_date"),
    "StudyTime": Key(_ST, Kind.TIME, "study_time"),
    "AccessionNumber": Key(_ST, Kind.TEXT, "accession_number"),
    "ReferringPhysicianName": Key(_ST, Kind.NAME, "referring_physician_name"),
    "ModalitiesInStudy": Key(_ST, Kind.MODALITIES),
    **_keys(_ST, Kind.TEXT, "StudyID StudyDescription InstitutionName PatientAge PatientSize PatientWeight Occupation"),
    **_keys(_ST, Kind.TEXT, "AdditionalPatientHistory TimezoneOffsetFromUTC"),
    **_keys(_ST, Kind.TEXTS, "NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription"),
    "SeriesInstanceUID": Key(_SE, Kind.TEXT, "series_instance_uid"),
    "Modality": Key(_SE, Kind.TEXT, "modality"),
    "SeriesNumber": Key(_SE, Kind.NUMBER, "series_number"),
    **_keys(_SE, Kind.TEXT, "SeriesDescription BodyPartExamined ProtocolName Manufacturer ManufacturerModelName"),
    **_keys(_SE, Kind.TEXT, "StationName InstitutionalDepartmentName Laterality PatientPosition FrameOfReferenceUID"),
    **_keys(_SE, Kind.TEXT, "PerformedProcedureStepID PerformedProcedureStepDescription MagneticFieldStrength"),
    **_keys(_SE, Kind.TEXT, "SequenceName MRAcquisitionType"),
    **_keys(_SE, Kind.TEXTS, "PerformingPhysicianName OperatorsName ScanningSequence SoftwareVersions"),
    **_keys(_SE, Kind.DATE, "SeriesDate PerformedProcedureStepStartDate"),
    **_keys(_SE, Kind.TIME, "SeriesTime PerformedProcedureStepStartTime"),
    "SOPInstanceUID": Key(_I, Kind.SOP_INSTANCE_UID),
    "SOPClassUID": Key(_I, Kind.TEXT, "sop_class_uid"),
    "InstanceNumber": Key(_I, Kind.NUMBER, "instance_number"),
    **_keys(_I, Kind.NUMBER, "AcquisitionNumber Rows Columns SamplesPerPixel BitsAllocated BitsStored"),
    **_keys(_I, Kind.NUMBER, "PixelRepresentation NumberOfFrames"),
    **_keys(_I, Kind.TEXT, "PhotometricInterpretation AcquisitionDateTime SliceLocation SliceThickness EchoTime"),
    **_keys(_I, Kind.TEXT, "RepetitionTime ImageComments ContentLabel ContentDescription LossyImageCompression"),
    **_keys(_I, Kind.TEXT, "ImagePositionPatient ImageOrientationPatient PixelSpacing"),
    **_keys(_I, Kind.TEXTS, "ImageType"),
    **_keys(_I, Kind.DATE, "ContentDate AcquisitionDate InstanceCreationDate"),
    **_keys(_I, Kind.TIME, "ContentTime AcquisitionTime InstanceCreationTime"),
}

_TABLES = {
    Level.PATIENT: schema.study,
    Level.STUDY: schema.study,
    Level.SERIES: schema.series,
    Level.IMAGE: schema.instance,
}


def operands(keyword: str) -> tuple[ColumnElement[Any], ...]:
    """What the key's values are compared with: a column, three for a name's groups, or a value out of the JSON."""
    key = KEYS[keyword]
    table = _TABLES[key.level]
    if key.column is None:
        return (_json_value(key.level, keyword),)
    if key.kind is Kind.NAME:
        return tuple(table.c[f"{key.column}_{group}"] for group in ("alphabetic", "ideographic", "phonetic"))
    return (spelled(table.c[key.column]),)


def _json_value(level: Level, keyword: str) -> ColumnElement[str]:
    """A value out of the level's JSON object as text; an instance has those of its series' first unless it differs."""
    own = cast(ATTRIBUTES[level][keyword].as_string(), Text)
    if level is not Level.IMAGE:
        return own
    return func.coalesce(own, cast(_series.instance_attributes[keyword].as_string(), Text))


def _of_patient(what: Select[Any]) -> ColumnElement[Any]:
    """A scalar over all studies of the row's patient."""
    return what.where(_siblings.patient_key == _study.patient_key).correlate(schema.study).scalar_subquery()


_sibling = schema.study.alias("sibling")
_siblings = _sibling.c

# Values that are no attribute of an object (PS3.4 C.3.4, C.6.1.1): the level they stand at and where they come from.
COMPUTED: Mapping[str, tuple[Level, ColumnElement[Any]]] = {
    "NumberOfPatientRelatedStudies": (Level.PATIENT, _of_patient(select(func.count(_siblings.id)))),
    "NumberOfPatientRelatedSeries": (Level.PATIENT, _of_patient(select(func.sum(_siblings.number_of_series)))),
    "NumberOfPatientRelatedInstances": (Level.PATIENT, _of_patient(select(func.sum(_siblings.number_of_instances)))),
    "StudyInstanceUID": (Level.STUDY, _study.study_instance_uid),
    "ModalitiesInStudy": (Level.STUDY, _study.modalities),
    "NumberOfStudyRelatedSeries": (Level.STUDY, _study.number_of_series),
    "NumberOfStudyRelatedInstances": (Level.STUDY, _study.number_of_instances),
    "SeriesInstanceUID": (Level.SERIES, _series.series_instance_uid),
    "NumberOfSeriesRelatedInstances": (Level.SERIES, _series.number_of_instances),
    "SOPInstanceUID": (Level.IMAGE, _instance.sop_instance_uid),
    "SOPClassUID": (Level.IMAGE, _instance.sop_class_uid),
    # what this node lost counts, whatever the object said when it came
    "LossyImageCompression": (
        Level.IMAGE,
        case(
            (_instance.generation == str(Generation.FIRST_LOSS), "01"),
            else_=_json_value(Level.IMAGE, "LossyImageCompression"),
        ),
    ),
}
