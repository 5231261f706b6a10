"""The attributes by which an object is found (IndexAttributes), and the check of its identity."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mripacs.core.errors import InvalidIdentityError
from mripacs.core.model import IndexAttributes, Level
from mripacs.dicom.dictionary import tag_of, vr_of
from mripacs.dicom.headers import Buffer
from mripacs.dicom.scan import DatasetMap
from mripacs.dicom.text import Encodings
from mripacs.dicom.values import encodings_in, span_int, span_text

INDEX_KEYWORDS: Mapping[Level, tuple[str, ...]] = {
    Level.PATIENT: (
        "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientBirthTime", "PatientSex",
        "OtherPatientIDs", "OtherPatientNames", "EthnicGroup", "PatientComments",
    ),
    Level.STUDY: (
        "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription",
        "ReferringPhysicianName", "NameOfPhysiciansReadingStudy", "AdmittingDiagnosesDescription", "InstitutionName",
        "PatientAge", "PatientSize", "PatientWeight", "Occupation", "AdditionalPatientHistory", "TimezoneOffsetFromUTC",
    ),
    Level.SERIES: (
        "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined", "ProtocolName",
        "SeriesDate", "SeriesTime", "Manufacturer", "ManufacturerModelName", "StationName",
        "InstitutionalDepartmentName", "Laterality", "PatientPosition", "PerformingPhysicianName", "OperatorsName",
        "FrameOfReferenceUID", "PerformedProcedureStepID", "PerformedProcedureStepDescription",
        "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
        "MagneticFieldStrength", "SequenceName", "ScanningSequence", "MRAcquisitionType", "SoftwareVersions",
    ),
    Level.IMAGE: (
        "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated",
        "BitsStored", "PixelRepresentation", "PhotometricInterpretation", "NumberOfFrames", "ImageType",
        "ContentDate", "ContentTime", "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime",
        "AcquisitionDateTime", "InstanceCreationDate", "InstanceCreationTime", "SliceLocation", "SliceThickness",
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "EchoTime", "RepetitionTime",
        "ImageComments", "ContentLabel", "ContentDescription", "LossyImageCompression",
    ),
}  # fmt: skip
"""Keywords of the elements that each level's index holds, in the order of PS3.4 C.6.1.1 and what viewers ask for."""

_INTEGER_VRS = ("IS", "US")
_TAGS = {
    level: tuple((keyword, tag_of(keyword), vr_of(keyword) in _INTEGER_VRS) for keyword in keywords)
    for level, keywords in INDEX_KEYWORDS.items()
}

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64  # PS3.5 9.1
_IDENTITY = (
    (Level.IMAGE, "SOPClassUID"),
    (Level.IMAGE, "SOPInstanceUID"),
    (Level.STUDY, "StudyInstanceUID"),
    (Level.SERIES, "SeriesInstanceUID"),
)


def index_attributes(dataset: Buffer, dataset_map: DatasetMap, transfer_syntax: str) -> IndexAttributes:
    """The index attributes of a data set that `scan` mapped in `transfer_syntax`.

    Text is decoded by the data set's Specific Character Set; what cannot be decoded becomes U+FFFD. Values are
    stripped, multiple ones joined by a backslash, overlong ones cut at `values.LONGEST_VALUE` characters. PN keep
    their '=' groups.
    Absent and empty elements and malformed integers are left out. Never raises for what the data set holds.
    """
    del transfer_syntax  # the map knows how its elements are encoded
    encodings = encodings_in(dataset, dataset_map)
    patient, study, series, image = (_attributes(dataset, dataset_map, encodings, level) for level in Level)
    return IndexAttributes(patient, study, series, image)


def _attributes(dataset: Buffer, dataset_map: DatasetMap, encodings: Encodings, level: Level) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for keyword, tag, is_integer in _TAGS[level]:
        span = dataset_map.elements.get(tag)
        if span is None or span.value_start == span.value_end:
            continue
        value = span_int(dataset, dataset_map, span) if is_integer else span_text(dataset, span, encodings)
        if value is not None and value != "":
            found[keyword] = value
    return found


def check_identity(attributes: IndexAttributes, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Raise InvalidIdentityError unless all four UIDs are there, well-formed, and those the command names.

    What the command names must be without padding: doors take that off, and whatever goes on from here has one form.
    Well-formed is PS3.5 9.1 except that components may have leading zeros: real archives hold such UIDs, and a
    store that refused them would lose the images.
    """
    levels = {Level.STUDY: attributes.study, Level.SERIES: attributes.series, Level.IMAGE: attributes.instance}
    for level, keyword in _IDENTITY:
        _check_uid(keyword, str(levels[level].get(keyword, "")))
    claimed = {"SOPClassUID": sop_class_uid, "SOPInstanceUID": sop_instance_uid}
    for keyword, uid in claimed.items():
        if attributes.instance[keyword] != uid:
            raise InvalidIdentityError(f"{keyword} of the data set is not the one that the command or file names")


def _check_uid(keyword: str, uid: str) -> None:
    if not uid:
        raise InvalidIdentityError(f"the data set has no {keyword}")
    check_uid(keyword, uid)


def check_uid(what: str, uid: str) -> None:
    """Raise InvalidIdentityError, which names `what`, unless it is one: UIDs become paths and lines of headers."""
    if len(uid) > _LONGEST_UID or not _UID.fullmatch(uid):
        raise InvalidIdentityError(f"{what} is no UID: {uid[:_LONGEST_UID]!r}")
