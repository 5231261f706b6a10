"""What is asked of the index: each question brings as many rows from a small archive as from a large one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mripacs.core.model import Level, Query
from mripacs.retrieve.matching import parse_query

PAGE = 100
DEEP = 5000  # instances that are passed over, in either archive
STUDY_UID = "StudyInstanceUID"
STUDY_KEYS = dict.fromkeys(
    (
        "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName", "PatientName",
        "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDescription",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "",
)  # fmt: skip
SERIES_KEYS = dict.fromkeys(
    ("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "NumberOfSeriesRelatedInstances"), ""
)
INSTANCE_KEYS = dict.fromkeys(
    ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"), ""
)
Keys = dict[str, str]
_KEYS = {
    Level.PATIENT: dict.fromkeys(("PatientID", "PatientName", "NumberOfPatientRelatedStudies"), ""),
    Level.STUDY: STUDY_KEYS,
    Level.SERIES: SERIES_KEYS,
    Level.IMAGE: INSTANCE_KEYS,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A study in an archive, and how many there are."""

    studies: int
    instances: int
    study: Mapping[str, str | int]  # its attributes, and those of its patient
    sop_instance_uid: str

    def text(self, keyword: str) -> str:
        """An attribute of the study."""
        return str(self.study[keyword])


@dataclass(frozen=True, slots=True)
class Question:
    """A query by name; `grows` where what is skipped grows with the archive, which is reported and has no bound."""

    name: str
    ask: Callable[[Place], Query]
    grows: bool = False


def _query(level: Level, keys: Keys, *, limit: int | None = PAGE, offset: int = 0, newest: bool = False) -> Query:
    query = parse_query(level, _KEYS[level] | keys, limit=limit, offset=offset)
    return replace(query, newest_first=newest)


def _studies(limit: int = PAGE, *, newest: bool = False, **keys: str) -> Query:
    return _query(Level.STUDY, keys, limit=limit, newest=newest)


def _instances(offset: int) -> Query:
    return _query(Level.IMAGE, {}, offset=offset)


WEEK = "20100111-20100117"  # of the first studies
QUESTIONS: tuple[Question, ...] = (
    Question("100 newest studies", lambda _: _studies(newest=True)),
    Question("patient ID", lambda at: _studies(1, PatientID=at.text("PatientID"))),
    Question("patient ID*", lambda at: _studies(1, PatientID=f"{at.text('PatientID')[:-1]}*")),
    Question("accession number", lambda at: _studies(AccessionNumber=at.text("AccessionNumber"))),
    Question("name* (one study)", lambda _: _studies(PatientName="QUETZALC*")),
    Question("*name* (one study)", lambda _: _studies(PatientName="*zalCÓ*")),
    Question("name* (first 3)", lambda _: _studies(3, PatientName="M*")),
    Question("*name* (first 3)", lambda _: _studies(3, PatientName="*ER^*")),
    Question("name that nobody has", lambda _: _studies(PatientName="*nobody*")),
    Question("a week", lambda _: _studies(StudyDate=WEEK)),
    Question("a week, newest first, MR", lambda _: _studies(newest=True, StudyDate=WEEK, ModalitiesInStudy="MR")),
    Question("series of a study", lambda at: _query(Level.SERIES, {STUDY_UID: at.text(STUDY_UID)}, limit=None)),
    Question("instances of a study", lambda at: _query(Level.IMAGE, {STUDY_UID: at.text(STUDY_UID)}, limit=None)),
    Question("an instance by UID", lambda at: _query(Level.IMAGE, {"SOPInstanceUID": at.sop_instance_uid})),
    Question("first 100 instances", lambda _: _instances(0)),
    Question("100 instances, deep in", lambda _: _instances(DEEP)),
    Question("100 instances at nine tenths", lambda at: _instances(at.instances * 9 // 10), grows=True),
    Question(
        "10 studies at nine tenths", lambda at: _query(Level.STUDY, {}, limit=10, offset=at.studies * 9 // 10), True
    ),
    Question("first 10 patients", lambda _: _query(Level.PATIENT, {}, limit=10)),
    Question("a patient by ID", lambda at: _query(Level.PATIENT, {"PatientID": at.text("PatientID")})),
)
