"""QIDO-RS: levels, keys, paging, warnings (PS3.18 10.6)."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from pydicom import FileMetaDataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian

from mripacs.core.model import Level
from mripacs.dicomweb.search_keys import REQUIRED
from tests.dicomweb.conftest import LOSSLESS, ROOT, in_process, settings_of
from tests.dicomweb.multipart import parts_of
from tests.e2e.objects import mr_object

NAMES = ("Müller^Jörg", "Mueller^Anna-Lena", "O'Neil^Pat", "Nobody^Made")


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Four patients, a study each."""
    with in_process(settings_of(tmp_path_factory.mktemp("named") / "archive", LOSSLESS)) as client:
        for number, name in enumerate(NAMES):
            made = mr_object(
                PatientName=name, PatientID=f"ID{number}", StudyDate=f"2020010{number + 1}",
                SpecificCharacterSet="ISO_IR 192",
            )  # fmt: skip
            client.archive.store(with_meta(made))
        yield client


def with_meta(dataset):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def ids(answer):
    assert answer.status_code in (200, 204), answer.text
    return [row["00100020"]["Value"][0] for row in answer.json()] if answer.content else []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "ID0 ID1 ID2 ID3"),
        ("PatientName=nobody*", "ID3"),
        ("00100010=NOBODY^MADE", "ID3"),
        ("PatientID=ID?", "ID0 ID1 ID2 ID3"),
        ("PatientID=id1", ""),
        ("StudyDate=20200102-20200103", "ID1 ID2"),
        ("StudyDate=-20200102", "ID0 ID1"),
        ("ModalitiesInStudy=MR&StudyDate=20200104", "ID3"),
        ("ModalitiesInStudy=CT", ""),
        ("fuzzymatching=true&PatientName=lena mue", "ID1"),
        ("fuzzymatching=true&PatientName=neil", "ID2"),
        ("fuzzymatching=true&PatientName=JÖRG", "ID0"),
        ("fuzzymatching=false&PatientName=lena", ""),
        ("limit=2", "ID0 ID1"),
        ("limit=2&offset=3", "ID3"),
        ("offset=9", ""),
        ("limit=0", ""),
        ("PatientName=", "ID0 ID1 ID2 ID3"),
    ],
)
def test_studies_by_key(named, query, found):
    assert ids(named.get(f"{ROOT}/studies?{query}")) == found.split()


def test_lists_of_uids(named):
    studies = [row["0020000D"]["Value"][0] for row in named.get(f"{ROOT}/studies").json()]
    for joined in (",".join(studies[:2]), "\\".join(studies[:2])):
        answer = named.get(f"{ROOT}/studies", params={"StudyInstanceUID": joined})
        assert [row["0020000D"]["Value"][0] for row in answer.json()] == studies[:2]


@pytest.mark.parametrize(
    ("path", "level", "more"),
    [
        ("studies", Level.STUDY, ()),
        ("series", Level.SERIES, (Level.STUDY,)),
        ("instances", Level.IMAGE, (Level.STUDY,)),
    ],
)
def test_required_attributes_are_always_there(client, path, level, more):
    for row in client.get(f"{ROOT}/{path}").json():
        for keyword in REQUIRED[level]:
            assert f"{tag_for_keyword(keyword):08X}" in row, keyword
        assert row["00081190"]["Value"][0].startswith("http://127.0.0.1/dicom-web/studies/")
        assert row["00080056"]["Value"] == ["ONLINE"]
        assert {f"{tag_for_keyword('StudyInstanceUID'):08X}" for _ in more} <= set(row)


def test_retrieve_urls_lead_to_what_was_found(client):
    for path in ("studies", "series", "instances"):
        row = client.get(f"{ROOT}/{path}?limit=1").json()[0]
        assert client.get(row["00081190"]["Value"][0] + "/metadata").status_code == 200


def test_counts(client, filled):
    for row in client.get(f"{ROOT}/studies").json():
        of_study = [each for each in filled.identities if each.study_instance_uid == row["0020000D"]["Value"][0]]
        assert row["00201208"]["Value"] == [len(of_study)]
        assert row["00201206"]["Value"] == [len({each.series_instance_uid for each in of_study})]


def test_includefield(client, filled):
    original, path = next(iter(filled.files.items()))
    sent = dcmread(path)
    some = client.get(
        f"{ROOT}/instances?SOPInstanceUID={original}&includefield=Manufacturer,00180050&includefield=EchoTime"
    )
    (row,) = some.json()
    assert row["00080070"]["Value"] == [sent.Manufacturer]
    assert float(row["00180050"]["Value"][0]) == float(sent.SliceThickness)
    (row,) = client.get(f"{ROOT}/instances?SOPInstanceUID={original}&includefield=all").json()
    assert row["00280030"]["Value"] == [float(value) for value in sent.PixelSpacing]


def test_a_lossy_instance_says_so(client, filled):
    lossy = filled.lossy()
    (row,) = client.get(f"{ROOT}/instances?SOPInstanceUID={lossy.original_sop_instance_uid}&includefield=all").json()
    assert row["00080018"]["Value"] == [lossy.sop_instance_uid]
    assert row["00282110"]["Value"] == ["01"]


def test_more_results_are_announced(client):
    answer = client.get(f"{ROOT}/instances?limit=3&offset=2")
    assert len(answer.json()) == 3
    assert "offset=5" in answer.headers["warning"]
    assert "warning" not in client.get(f"{ROOT}/instances").headers


def test_keys_that_are_not_matched_are_announced(client):
    answer = client.get(f"{ROOT}/studies?EchoTime=3&RequestAttributesSequence.ScheduledProcedureStepID=1")
    assert answer.status_code == 200
    assert "EchoTime" in answer.headers["warning"]
    assert "RequestAttributesSequence" in answer.headers["warning"]


def test_xml(client):
    answer = client.get(f"{ROOT}/studies", headers={"Accept": 'multipart/related; type="application/dicom+xml"'})
    rows = client.get(f"{ROOT}/studies").json()
    parts = parts_of(answer)
    assert len(parts) == len(rows)
    for part, row in zip(parts, rows, strict=True):
        document = ElementTree.fromstring(part.content)  # noqa: S314 - ours
        tags = [element.get("tag") for element in document]
        assert tags == sorted(row)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Nonsense=1", "neither an attribute's keyword nor its tag"),
        ("ZZZZ0010=1", "neither an attribute's keyword"),
        ("includefield=Nonsense", "neither an attribute's keyword"),
        ("StudyInstanceUID=abc", "is no UID"),
        ("StudyDate=yesterday", "neither a value nor a range"),
        ("StudyDate=20210101-20200101", "ends before it begins"),
        ("limit=-1", "limit is a number"),
        ("limit=many", "limit is a number"),
        ("limit=99999999999999999999", "limit is a number"),
        ("offset=1.5", "offset is a number"),
        ("fuzzymatching=maybe", "true or false"),
        ("PatientID=A%00B", "PatientID: a matching key with a NUL"),
        ("PatientName=A%00*&fuzzymatching=true", "PatientName: a matching key with a NUL"),
        (f"PatientName={'x' * 2000}", "characters"),
    ],
)
def test_what_is_malformed_is_named(client, query, words):
    answer = client.get(f"{ROOT}/studies?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert words in answer.json()["detail"]


def test_a_huge_query(client):
    answer = client.get(f"{ROOT}/studies?PatientID={'x' * 40_000}")
    assert answer.status_code == 414
