"""What is asked of the index: each question brings as many rows from a small archive as from a large one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mripacs.core.model import Level, Query
from mripacs.retrieve.matching import parse_query

PAGE = 100
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


def _query(
    level: Level, *, limit: int | None = PAGE, offset: int = 0, newest: bool = False, **keys: str
) -> Query:
    query = parse_query(level, _KEYS[level] | keys, limit=limit, offset=offset)
    return replace(query, newest_first=newest)


def _studies(**keys: str) -> Query:
    return _query(Level.STUDY, **keys)


QUESTIONS: tuple[Question, ...] = (
    Question("100 newest studies", lambda _: _query(Level.STUDY, newest=True)),
    Question("patient ID", lambda place: _studies(PatientID=place.text("PatientID"))),
    Question("patient ID*", lambda place: _query(Level.STUDY, limit=1, PatientID=f"{place.text('PatientID')[:-1]}*")),
    Question("accession number", lambda place: _studies(AccessionNumber=place.text("AccessionNumber"))),
    Question("name* (one study)", lambda _: _studies(PatientName="QUETZALC*")),
    Question("*name* (one study)", lambda _: _studies(PatientName="*zalCÓ*")),
    Question("name* (first 5)", lambda _: _query(Level.STUDY, limit=5, PatientName="M*")),
    Question("*name* (first 5)", lambda _: _query(Level.STUDY, limit=5, PatientName="*ER^*")),
    Question("name that nobody has", lambda _: _studies(PatientName="*nobody*")),
    Question("a week", lambda _: _studies(StudyDate="20100111-20100117")),
    Question(
        "a week, newest first, MR",
        lambda _: _query(Level.STUDY, newest=True, StudyDate="20100111-20100117", ModalitiesInStudy="MR"),
    ),
    Question(
        "series of a study",
        lambda place: _query(Level.SERIES, limit=None, StudyInstanceUID=place.text("StudyInstanceUID")),
    ),
    Question(
        "instances of a study",
        lambda place: _query(Level.IMAGE, limit=None, StudyInstanceUID=place.text("StudyInstanceUID")),
    ),
    Question("an instance by UID", lambda place: _query(Level.IMAGE, SOPInstanceUID=place.sop_instance_uid)),
    Question("first 100 instances", lambda _: _query(Level.IMAGE)),
    Question("100 instances from 9000 on", lambda _: _query(Level.IMAGE, offset=9000)),
    Question(
        "100 instances at nine tenths",
        lambda place: _query(Level.IMAGE, offset=place.instances * 9 // 10),
        grows=True,
    ),
    Question(
        "10 studies at nine tenths",
        lambda place: _query(Level.STUDY, limit=10, offset=place.studies * 9 // 10),
        grows=True,
    ),
    Question("first 10 patients", lambda _: _query(Level.PATIENT, limit=10)),
    Question("a patient by ID", lambda place: _query(Level.PATIENT, PatientID=place.text("PatientID"))),
)
