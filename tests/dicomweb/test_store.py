"""STOW-RS: what is stored and what is not, and how the answer tells (PS3.18 10.5)."""

from __future__ import annotations

import base64
import io

import orjson
import pytest
from pydicom import dcmread

from mripacs.dicom import xml_model
from tests.dicomweb.conftest import LOSSLESS, ROOT, in_process, settings_of
from tests.dicomweb.multipart import DICOM_PART, body_of, parts_of, related
from tests.e2e.objects import mr_object
from tests.e2e.part10_files import differences

RELATED = 'multipart/related; type="application/dicom"; boundary=limit'
REFERENCED, FAILED, OTHER_FAILURES = "00081199", "00081198", "0008119A"
FAILURE_REASON, WARNING_REASON = "00081197", "00081196"


@pytest.fixture
def files(filled):
    return list(filled.files.values())


@pytest.fixture
def lossless(tmp_path):
    with in_process(settings_of(tmp_path / "archive", LOSSLESS)) as client:
        yield client


def post(client, *contents, path="/studies", **headers):
    body = body_of(*((DICOM_PART, content) for content in contents))
    return client.post(ROOT + path, content=body, headers=related() | headers)


def test_all_stored_as_they_are(lossless, files):
    answer = post(lossless, *(path.read_bytes() for path in files[:3]))
    assert answer.status_code == 200
    assert len(answer.json()[REFERENCED]["Value"]) == 3
    assert FAILED not in answer.json()
    for item, path in zip(answer.json()[REFERENCED]["Value"], files, strict=False):
        sent = dcmread(path)
        assert item["00081155"]["Value"] == [sent.SOPInstanceUID]
        assert WARNING_REASON not in item
        got = lossless.get(item["00081190"]["Value"][0], headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert got.status_code == 200


def test_a_derived_instance_is_a_warning(empty, files):
    answer = post(empty, files[0].read_bytes())
    assert answer.status_code == 202
    (item,) = answer.json()[REFERENCED]["Value"]
    assert item[WARNING_REASON]["Value"] == [0xB000]
    again = post(empty, files[0].read_bytes())
    assert again.status_code == 202
    found = empty.get(item["00081190"]["Value"][0] + "/metadata")  # by the UID that was sent
    assert found.json()[0]["00282110"]["Value"] == ["01"]
    assert found.json()[0]["00080018"]["Value"] != item["00081155"]["Value"]


def test_one_alone_without_multipart(lossless, files):
    answer = lossless.post(
        f"{ROOT}/studies", content=files[0].read_bytes(), headers={"Content-Type": "application/dicom"}
    )
    assert answer.status_code == 200


def test_some_stored_some_not(lossless, files):
    answer = post(lossless, files[0].read_bytes(), b"this is no DICOM", files[1].read_bytes()[:400])
    assert answer.status_code == 202
    model = answer.json()
    assert len(model[REFERENCED]["Value"]) == 1
    assert len(model[OTHER_FAILURES]["Value"]) == 2
    for item in model[OTHER_FAILURES]["Value"]:
        assert item[FAILURE_REASON]["Value"][0] >= 0xA700


def test_conflict(lossless, files):
    assert post(lossless, files[0].read_bytes()).status_code == 200
    other = dcmread(files[0])
    other.PatientComments = "changed"
    changed = io.BytesIO()
    other.save_as(changed)
    answer = post(lossless, changed.getvalue())
    assert answer.status_code == 409
    (item,) = answer.json()[FAILED]["Value"]
    assert item[FAILURE_REASON]["Value"] == [0xC111]
    assert item["00081155"]["Value"] == [other.SOPInstanceUID]


def test_the_study_of_the_url_binds(lossless, files):
    study = str(dcmread(files[0]).StudyInstanceUID)
    assert post(lossless, files[0].read_bytes(), path=f"/studies/{study}").status_code == 200
    answer = post(lossless, files[0].read_bytes(), path="/studies/1.2.3")
    assert answer.status_code == 409
    assert answer.json()[FAILED]["Value"][0][FAILURE_REASON]["Value"] == [0xA900]


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_metadata_and_bulk_data(lossless, kind):
    sent = mr_object()
    sent.PatientName = "Ä^Ö=山田^太郎"
    sent.SpecificCharacterSet = "ISO_IR 192"
    uri = "urn:pixels"
    model = sent.to_json_dict()
    model["7FE00010"] = {"vr": "OW", "BulkDataURI": uri}
    content = orjson.dumps([model]) if kind == "json" else xml_model.to_xml(model)
    body = body_of(
        ({"Content-Type": f"application/dicom+{kind}"}, content),
        ({"Content-Type": "application/octet-stream", "Content-Location": uri}, sent.PixelData),
    )
    answer = lossless.post(f"{ROOT}/studies", content=body, headers=related(f"application/dicom+{kind}"))
    assert answer.status_code == 200, answer.text
    stored = lossless.archive.fetch(str(sent.SOPInstanceUID))
    assert differences(sent, stored) == []
    assert stored.PixelData == sent.PixelData


def test_metadata_without_its_bulk_data(lossless):
    model = mr_object().to_json_dict()
    model["7FE00010"] = {"vr": "OW", "BulkDataURI": "urn:nowhere"}
    body = body_of(({"Content-Type": "application/dicom+json"}, orjson.dumps([model])))
    answer = lossless.post(f"{ROOT}/studies", content=body, headers=related("application/dicom+json"))
    assert answer.status_code == 400
    (comment,) = answer.json()[OTHER_FAILURES]["Value"][0]["00000902"]["Value"]
    assert comment.startswith("the metadata names bulk data that is in no part")


def test_the_answer_in_xml(lossless, files):
    answer = post(lossless, files[0].read_bytes(), Accept="application/dicom+xml")
    assert answer.headers["content-type"] == "application/dicom+xml"
    assert b"NativeDicomModel" in answer.content


def test_ten_thousand_parts(empty):
    body = body_of(*((DICOM_PART, b"x" * 20) for _ in range(10_000)))
    answer = empty.post(f"{ROOT}/studies", content=body, headers=related())
    assert answer.status_code == 400
    assert len(answer.json()[OTHER_FAILURES]["Value"]) == 10_000


def test_a_part_larger_than_allowed(tmp_path, files):
    with in_process(settings_of(tmp_path / "archive", LOSSLESS)) as client:
        client.app.state.settings = client.app.state.settings.model_copy(
            update={"limits": client.app.state.settings.limits.model_copy(update={"max_object_bytes": 2048})}
        )
        answer = post(client, files[0].read_bytes())
    assert answer.status_code == 413
    assert answer.json()[OTHER_FAILURES]["Value"][0][FAILURE_REASON]["Value"] == [0xA700]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "words"),
    [
        (None, b"x", 415, "Content-Type must be"),
        ("text/plain", b"x", 415, "instances come as"),
        ('multipart/form-data; boundary="limit"', b"x", 415, "instances come as"),
        ('multipart/related; type="image/png"; boundary=limit', b"x", 415, "instances come as"),
        ('multipart/related; type="application/dicom"', b"x", 400, "needs a boundary"),
        (f'multipart/related; type="application/dicom"; boundary={"b" * 71}', b"x", 400, "needs a boundary"),
        (RELATED, b"", 400, "ends before its first boundary"),
        (RELATED, b"--limit--", 400, "has no part"),
        (RELATED, b"--other\r\n\r\nx", 400, "first boundary"),
        (RELATED, b"--limit\r\n\r\nx", 400, "ends inside part 1"),
        (RELATED, b"--limit junk\r\n\r\nx\r\n--limit--", 400, "on its line"),
        (RELATED, b"--limit\r\nno colon\r\n\r\nx\r\n--limit--", 400, "colon"),
        (RELATED, b"--limit\r\nA: " + b"b" * 20000, 400, "headers"),
        (RELATED, b"\0" * 100_000, 400, "does not stand in the body"),
        ('multipart/related; type="application/dicom" boundary=limit', b"x", 400, "cannot be read at character"),
        (";;;", b"x", 400, "media type is expected"),
    ],
)  # fmt: skip
def test_broken_bodies(empty, content_type, body, status, words):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = empty.post(f"{ROOT}/studies", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]


def test_inline_binary_pixels(lossless):
    model = mr_object().to_json_dict()
    model["7FE00010"] = {"vr": "OW", "InlineBinary": base64.b64encode(mr_object().PixelData).decode()}
    body = body_of(({"Content-Type": "application/dicom+json"}, orjson.dumps([model])))
    answer = lossless.post(f"{ROOT}/studies", content=body, headers=related("application/dicom+json"))
    assert answer.status_code == 200, answer.text


def test_parts_of_answers_are_read_by_the_standard_library(client, filled):
    answer = client.get(filled.path(filled.lossy()))
    (part,) = parts_of(answer)
    assert part.content[128:132] == b"DICM"
    assert int(part.headers["content-length"]) == len(part.content)
