"""C-FIND through DCMTK's findscu, held against what pydicom reads in the files that were sent."""

from __future__ import annotations

from collections import defaultdict

import pytest
from pydicom import dcmread

from tests.e2e import dcmtk
from tests.e2e.findscu import findscu
from tests.e2e.objects import mr_object, written

SUCCESS, DOES_NOT_MATCH = "0x0000", "0xa900"
KEYWORDS = (
    "PatientID",
    "PatientName",
    "StudyInstanceUID",
    "StudyDate",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "Modality",
)


@pytest.fixture(scope="module")
def headers(whole_node):
    """The identifying elements of every file sent."""
    return [dcmread(path, specific_tags=[*KEYWORDS, "SpecificCharacterSet"]) for path in whole_node.sent]


@pytest.fixture(scope="module")
def find(whole_node):
    """findscu on the whole node."""
    return lambda *arguments, **keys: findscu(whole_node.node.port, *arguments, **keys)


def distinct(headers, keyword):
    return sorted({str(header[keyword].value) for header in headers})


def test_every_study(find, headers):
    found = find("STUDY", StudyInstanceUID="", PatientID="")
    assert found.status == SUCCESS
    assert found.values("StudyInstanceUID") == distinct(headers, "StudyInstanceUID")


def test_every_patient_in_the_patient_root(find, headers):
    found = find("PATIENT", root="-P", PatientID="", PatientName="")
    pairs = {(str(header.get("PatientID") or ""), str(header.get("PatientName") or "")) for header in headers}
    assert {(str(row.PatientID or ""), str(row.PatientName or "")) for row in found.responses} == pairs


def test_series_of_a_study_with_its_counts(find, headers):
    study = max(distinct(headers, "StudyInstanceUID"), key=lambda uid: sum(h.StudyInstanceUID == uid for h in headers))
    of_study = [header for header in headers if header.StudyInstanceUID == study]
    members = defaultdict(int)
    for header in of_study:
        members[str(header.SeriesInstanceUID)] += 1
    found = find("SERIES", StudyInstanceUID=study, SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
    assert {row.SeriesInstanceUID: int(row.NumberOfSeriesRelatedInstances) for row in found.responses} == members
    counts = find(
        "STUDY",
        StudyInstanceUID=study,
        NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
        ModalitiesInStudy="",
    )
    (row,) = counts.responses
    assert (int(row.NumberOfStudyRelatedSeries), int(row.NumberOfStudyRelatedInstances)) == (
        len(members),
        len(of_study),
    )
    assert row.ModalitiesInStudy == "MR"


def test_images_of_a_series_and_a_uid_list(find, headers, whole_node):
    series = distinct(headers, "SeriesInstanceUID")[0]
    of_series = [header for header in headers if header.SeriesInstanceUID == series]
    served = {whole_node.certificates[header.SOPInstanceUID]["sop_instance_uid"] for header in of_series}
    found = find("IMAGE", StudyInstanceUID=of_series[0].StudyInstanceUID, SeriesInstanceUID=series, SOPInstanceUID="")
    assert set(found.values("SOPInstanceUID")) == served
    some = distinct(headers, "StudyInstanceUID")[:3]
    assert find("STUDY", StudyInstanceUID="\\".join(some)).values("StudyInstanceUID") == some


def test_original_uids_are_found(find, whole_node):
    original = whole_node.sent_as_lossy()[0]
    (row,) = find("IMAGE", SOPInstanceUID=original).responses
    assert row.SOPInstanceUID == whole_node.certificates[original]["sop_instance_uid"]


@pytest.mark.parametrize("pattern", ["CompressedSamples^MR?", "Compressed*", "compressedsamples^mr*", "*^MR1"])
def test_names_by_pattern_and_without_case(find, headers, pattern):
    names = set(find("STUDY", PatientName=pattern).values("PatientName"))
    expected = (
        {"CompressedSamples^MR1"} if pattern.endswith("1") else {"CompressedSamples^MR1", "CompressedSamples^MR2"}
    )
    assert names == expected
    assert expected <= set(distinct(headers, "PatientName"))


def test_ids_and_dates(find, headers):
    assert set(find("STUDY", PatientID="4MR1").values("PatientID")) == {"4MR1"}
    assert find("STUDY", PatientID="4mr1").responses == []  # LO is matched with case (PS3.4 C.2.2.2.1)
    assert find("STUDY", PatientID="?MR*").values("PatientID") == ["4MR1", "5MR2"]
    for dates in ("20040101-20041231", "-20041231", "20150101-"):
        first, last = (f"{dates}".split("-")[0] or "0"), (dates.split("-")[1] or "9")
        expected = {str(h.StudyInstanceUID) for h in headers if h.get("StudyDate") and first <= h.StudyDate <= last}
        assert expected
        assert set(find("STUDY", StudyDate=dates, StudyInstanceUID="").values("StudyInstanceUID")) == expected


def test_no_match_is_success(find):
    found = find("STUDY", PatientID="there is none")
    assert (found.responses, found.status) == ([], SUCCESS)


def test_empty_and_unknown_keys_are_returned(find):
    found = find("STUDY", PatientID="4MR1", StudyID="", PatientReligiousPreference="", IssuerOfPatientID="")
    (row,) = found.responses
    assert row.StudyID == "4MR1"
    assert row.PatientReligiousPreference == ""
    assert "IssuerOfPatientID" in row
    assert "0xff01" in found.output  # pending, and one key is not matched by (PS3.4 C.4.1.1.4)
    assert row.QueryRetrieveLevel == "STUDY"
    assert row.RetrieveAETitle == "MRIPACS"


@pytest.mark.parametrize(
    "keys",
    [
        {"level": "", "PatientID": ""},
        {"level": "PLANET", "PatientID": ""},
        {"level": "STUDY", "StudyDate": "yesterday"},
        {"level": "STUDY", "StudyDate": "20201231-20200101"},
        {"level": "STUDY", "StudyInstanceUID": "not-a-uid"},
    ],
    ids=["no level", "no such level", "no date", "range upside down", "no UID"],
)
def test_malformed_identifiers(find, keys):
    found = find(keys.pop("level"), **keys)
    assert (found.responses, found.status) == ([], DOES_NOT_MATCH)


NAMES = {
    "ISO_IR 100": "Müller^Jörg",
    "ISO_IR 192": "Ångström^Łukasz",
    "ISO_IR 144": "Иванов^Пётр",
    "ISO_IR 126": "Διονυσιος",
}


def test_names_in_other_character_sets(shared_node, tmp_path):
    files = [
        written(
            mr_object(SpecificCharacterSet=term, PatientName=name, PatientID=f"CHARSET-{term}"),
            tmp_path / f"{term}.dcm",
        )
        for term, name in NAMES.items()
    ]
    japanese = mr_object(PatientID="CHARSET-87")
    japanese.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    japanese.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    files.append(written(japanese, tmp_path / "japanese.dcm"))
    shared_node.sent.extend(files)
    dcmtk.storescu(shared_node.port, files)
    for term, name in {**NAMES, "87": "Yamada^Tarou=山田^太郎=やまだ^たろう"}.items():
        (row,) = findscu(shared_node.port, "STUDY", PatientID=f"CHARSET-{term}", PatientName="").responses
        assert str(row.PatientName) == name
        assert row.SpecificCharacterSet == "ISO_IR 192"
    in_utf8 = ("-k", "SpecificCharacterSet=ISO_IR 192")
    for wanted in ("MÜLLER^jörg", "Müll*", "山田*", "Διονυσ?ος"):
        assert len(findscu(shared_node.port, "STUDY", *in_utf8, PatientName=wanted, PatientID="").responses) == 1, (
            wanted
        )
