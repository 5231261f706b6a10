"""Matching keys: what each VR means, and what is refused (PS3.4 C.2.2.2)."""

from __future__ import annotations

import pytest

from mripacs.core.errors import QueryError
from mripacs.core.model import InstanceSelection, Level, Match
from mripacs.retrieve.matching import parse_level, parse_match, parse_query, parse_selection


@pytest.mark.parametrize(
    ("keyword", "text", "expected"),
    [
        ("PatientID", "", Match("PatientID", "universal")),
        ("PatientID", "*", Match("PatientID", "universal")),
        ("PatientID", " 4711 ", Match("PatientID", "single", ("4711",))),
        ("PatientID", "47*", Match("PatientID", "wildcard", ("47*",))),
        ("PatientID", "4?11", Match("PatientID", "wildcard", ("4?11",))),
        ("PatientName", "doe^j*", Match("PatientName", "wildcard", ("doe^j*",), fold_case=True)),
        ("PatientName", "Doe^Jane", Match("PatientName", "single", ("Doe^Jane",), fold_case=True)),
        ("StudyInstanceUID", "1.2.3", Match("StudyInstanceUID", "single", ("1.2.3",))),
        ("StudyInstanceUID", "1.2\\1.3", Match("StudyInstanceUID", "list", ("1.2", "1.3"))),
        ("StudyDate", "20200101", Match("StudyDate", "single", ("20200101",))),
        ("StudyDate", "20200101-20201231", Match("StudyDate", "range", ("20200101", "20201231"))),
        ("StudyDate", "-20201231", Match("StudyDate", "range", ("", "20201231"))),
        ("StudyDate", "20200101-", Match("StudyDate", "range", ("20200101", ""))),
        ("StudyDate", "2020.01.01", Match("StudyDate", "single", ("20200101",))),
        ("StudyTime", "08-12", Match("StudyTime", "range", ("08", "12"))),
        ("StudyTime", "080000.5", Match("StudyTime", "single", ("080000.5",))),
        (
            "AcquisitionDateTime",
            "20200101120000-0500",
            Match("AcquisitionDateTime", "single", ("20200101120000-0500",)),
        ),
        ("AcquisitionDateTime", "20200101-20210101", Match("AcquisitionDateTime", "range", ("20200101", "20210101"))),
        ("Modality", "MR\\CT", Match("Modality", "list", ("MR", "CT"))),
        ("InstanceNumber", "7", Match("InstanceNumber", "single", ("7",))),
    ],
)
def test_a_key_is_parsed_by_its_vr(keyword: str, text: str, expected: Match) -> None:
    assert parse_match(keyword, text) == expected


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("StudyInstanceUID", "1.2.*"),
        ("StudyInstanceUID", "1.2\\hello"),
        ("StudyInstanceUID", "1" * 65),
        ("StudyDate", "yesterday"),
        ("StudyDate", "-"),
        ("StudyDate", "20201231-20200101"),
        ("StudyDate", "20200101-20200201-20200301"),
        ("StudyTime", "8 o'clock"),
        ("AcquisitionDateTime", "noon"),
        ("PatientName", "x" * 70_000),
    ],
)
def test_a_malformed_key_is_refused_by_name(keyword: str, text: str) -> None:
    with pytest.raises(QueryError, match=keyword):
        parse_match(keyword, text)


def test_control_keys_are_neither_matched_nor_returned() -> None:
    query = parse_query(
        Level.STUDY, {"QueryRetrieveLevel": "STUDY", "SpecificCharacterSet": "ISO_IR 100", "PatientID": ""}
    )
    assert (query.matches, query.return_keywords) == ((), ("PatientID",))


def test_universal_keys_are_returned_without_restricting() -> None:
    query = parse_query(Level.SERIES, {"StudyInstanceUID": "1.2", "Modality": "*", "SeriesNumber": ""})
    assert query.matches == (Match("StudyInstanceUID", "single", ("1.2",)),)
    assert query.return_keywords == ("StudyInstanceUID", "Modality", "SeriesNumber")


def test_levels() -> None:
    assert parse_level(" study ") is Level.STUDY
    with pytest.raises(QueryError, match="PATIENT, STUDY, SERIES, IMAGE"):
        parse_level("WORKLIST")


def test_a_selection_takes_the_keys_down_to_its_level() -> None:
    keys = {"PatientID": "P1", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3\\1.4", "SOPInstanceUID": "9"}
    assert parse_selection(Level.SERIES, keys) == InstanceSelection(("P1",), ("1.2",), ("1.3", "1.4"))


@pytest.mark.parametrize("broken", ["A\0B", "\ud800"])
def test_a_patient_id_that_is_no_text_is_refused(broken: str) -> None:
    with pytest.raises(QueryError, match="PatientID"):
        parse_selection(Level.PATIENT, {"PatientID": broken})


def test_padding_is_no_part_of_what_is_selected() -> None:
    assert parse_selection(Level.PATIENT, {"PatientID": "P1\\P2\0"}) == InstanceSelection(("P1", "P2"))


@pytest.mark.parametrize("keys", [{}, {"StudyInstanceUID": ""}, {"StudyInstanceUID": "1.2.*"}, {"PatientID": "P1"}])
def test_a_selection_without_the_unique_key_of_its_level_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(QueryError):
        parse_selection(Level.STUDY, keys)
