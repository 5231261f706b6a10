"""DICOM audit messages (PS3.15 A.5): who did what to which studies, as XML and never with patient data.

Studies are named by their UIDs; a query's values, which name patients, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from xml.etree.ElementTree import Element, SubElement, tostring

MAX_INSTANCE_UIDS = 200  # in one message: at 64 bytes each it stays below the 32 KiB that receivers take (A.6)


class AuditEvent(Enum):
    """Events that a storage node reports: ID, meaning, action, code and meaning of the type (PS3.15 A.5.3, all DCM)."""

    APPLICATION_START = ("110100", "Application Activity", "E", "110120", "Application Start")
    APPLICATION_STOP = ("110100", "Application Activity", "E", "110121", "Application Stop")
    INSTANCES_RECEIVED = ("110104", "DICOM Instances Transferred", "C", "", "")
    INSTANCES_SENT = ("110104", "DICOM Instances Transferred", "R", "", "")
    INSTANCES_DELETED = ("110103", "DICOM Instances Accessed", "D", "", "")
    STUDY_DELETED = ("110105", "DICOM Study Deleted", "D", "", "")
    QUERY = ("110112", "Query", "E", "", "")
    REJECTED = ("110113", "Security Alert", "E", "110126", "Node Authentication")


# Events in which one participant does something by itself, and its role, if the event's table has one.
_ALONE: dict[AuditEvent, tuple[str, str] | None] = {
    AuditEvent.APPLICATION_START: ("110150", "Application"),
    AuditEvent.APPLICATION_STOP: ("110150", "Application"),
    AuditEvent.INSTANCES_DELETED: None,
    AuditEvent.STUDY_DELETED: None,
}


class Outcome(Enum):
    """Event outcome indicator (PS3.15 A.5.1)."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"  # nothing or not all of what was asked for was done


@dataclass(frozen=True, slots=True)
class Participant:
    """An application entity and its address, or, without a title, a user and the name of the machine."""

    ae_title: str
    address: str
    user: str = ""


@dataclass(slots=True)
class StudyContent:
    """SOP Instance UIDs of a study by their SOP class."""

    instances: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One event. `source` sends or asks, `destination` receives or answers; `requestor` is the one who began.

    All three are the same where somebody acts alone: starts, stops, deletes.
    """

    event: AuditEvent
    outcome: Outcome
    source: Participant
    destination: Participant
    requestor: Participant
    studies: dict[str, StudyContent] = field(default_factory=dict)
    sop_class_uid: str = ""  # of a query's model
    description: str = ""  # why it failed, or what was asked: levels and keywords, no values
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))


def to_xml(record: AuditRecord, audit_source: str) -> str:
    """The AuditMessage element (schema of PS3.15 A.5.1)."""
    message = Element("AuditMessage")
    code, meaning, action, type_code, type_meaning = record.event.value
    event = SubElement(
        message,
        "EventIdentification",
        EventActionCode=action,
        EventDateTime=record.time,
        EventOutcomeIndicator=record.outcome.value,
    )
    _coded(event, "EventID", code, meaning)
    if type_code:
        _coded(event, "EventTypeCode", type_code, type_meaning)
    if record.description:
        SubElement(event, "EventOutcomeDescription").text = _printable(record.description)
    _participants(message, record)
    SubElement(message, "AuditSourceIdentification", AuditSourceID=_printable(audit_source))
    if record.sop_class_uid:
        query = _object(message, record.sop_class_uid, ("110181", "SOP Class UID"))
        SubElement(query, "ParticipantObjectQuery")  # its values name patients
    for study_uid, content in record.studies.items():
        _study(message, study_uid, content)
    return tostring(message, encoding="unicode")


def _participants(message: Element, record: AuditRecord) -> None:
    if record.event in _ALONE:
        _participant(message, record.requestor, record, _ALONE[record.event])
        return
    _participant(message, record.source, record, ("110153", "Source Role ID"))
    _participant(message, record.destination, record, ("110152", "Destination Role ID"))
    if record.requestor not in (record.source, record.destination):  # of a C-MOVE to somebody else
        _participant(message, record.requestor, record, ("110150", "Application"))


def _participant(message: Element, who: Participant, record: AuditRecord, role: tuple[str, str] | None) -> None:
    element = SubElement(
        message,
        "ActiveParticipant",
        UserID=_printable(who.ae_title or who.user),
        UserIsRequestor="true" if who == record.requestor else "false",
        NetworkAccessPointID=_printable(who.address),
        NetworkAccessPointTypeCode="2" if who.ae_title else "1",  # IP address, machine name
    )
    if who.ae_title:
        element.set("AlternativeUserID", f"AETITLES={_printable(who.ae_title)}")
    if role:
        _coded(element, "RoleIDCode", *role)


def _study(message: Element, study_uid: str, content: StudyContent) -> None:
    study = _object(message, study_uid, ("110180", "Study Instance UID"))
    description = SubElement(study, "ParticipantObjectDescription")
    named = 0
    for sop_class_uid, uids in content.instances.items():
        sop_class = SubElement(description, "SOPClass", UID=_printable(sop_class_uid), NumberOfInstances=str(len(uids)))
        for uid in uids[: MAX_INSTANCE_UIDS - named]:
            SubElement(sop_class, "Instance", UID=_printable(uid))
        named = min(MAX_INSTANCE_UIDS, named + len(uids))


def _object(message: Element, identifier: str, id_type: tuple[str, str]) -> Element:
    element = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_printable(identifier),
        ParticipantObjectTypeCode="2",  # system object
        ParticipantObjectTypeCodeRole="3",  # report: what a study is in this schema
    )
    _coded(element, "ParticipantObjectIDTypeCode", *id_type)
    return element


def _coded(parent: Element, name: str, code: str, meaning: str) -> None:
    SubElement(parent, name, {"csd-code": code, "codeSystemName": "DCM", "originalText": meaning})


def _printable(text: str) -> str:
    """What a peer sends may hold characters that XML has no way to write."""
    return "".join(char if char.isprintable() else "?" for char in text)
