"""dicomweb-client, which others wrote, against the real web process."""

from __future__ import annotations

import io

import numpy as np
import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from mripacs import Archive
from mripacs.dicomweb.process import WebProcess
from tests.dicomweb.conftest import LOSSLESS, settings_of
from tests.e2e.part10_files import differences


@pytest.fixture(scope="module")
def web(door):
    return DICOMwebClient(door)


@pytest.fixture(scope="module")
def archive(filled):
    with Archive.open(settings=settings_of(filled.folder)) as archive:
        yield archive


def uids(identity):
    return identity.study_instance_uid, identity.series_instance_uid, identity.sop_instance_uid


def test_searches_at_every_level(web, filled):
    studies = {each.study_instance_uid for each in filled.identities}
    assert {row["0020000D"]["Value"][0] for row in web.search_for_studies()} == studies
    series = {each.series_instance_uid for each in filled.identities}
    assert {row["0020000E"]["Value"][0] for row in web.search_for_series()} == series
    instances = {each.sop_instance_uid for each in filled.identities}
    assert {row["00080018"]["Value"][0] for row in web.search_for_instances()} == instances
    study = filled.lossy().study_instance_uid
    of_study = {each.sop_instance_uid for each in filled.identities if each.study_instance_uid == study}
    assert {row["00080018"]["Value"][0] for row in web.search_for_instances(study)} == of_study
    assert web.search_for_studies(search_filters={"PatientID": "nobody"}) == []


def test_paging_gives_each_match_once(web, filled):
    pages = [web.search_for_instances(limit=5, offset=offset) for offset in range(0, len(filled.identities) + 5, 5)]
    found = [row["00080018"]["Value"][0] for page in pages for row in page]
    assert sorted(found) == sorted(each.sop_instance_uid for each in filled.identities)


def test_instances_are_what_the_archive_gives_out(web, filled, archive):
    for identity in filled.identities[::3]:
        got = web.retrieve_instance(*uids(identity), media_types=(("application/dicom", "*"),))
        assert differences(archive.fetch(identity.sop_instance_uid), got) == []


def test_a_series_comes_whole(web, filled):
    identity = filled.lossy()
    got = web.retrieve_series(*uids(identity)[:2])
    of_series = {each.sop_instance_uid for each in filled.identities if uids(each)[:2] == uids(identity)[:2]}
    assert {str(each.SOPInstanceUID) for each in got} == of_series
    streamed = web.iter_study(identity.study_instance_uid)
    assert of_series <= {str(each.SOPInstanceUID) for each in streamed}


def test_metadata_says_what_the_instance_says(web, filled, archive):
    for identity in filled.identities[::2]:
        served = Dataset.from_json(
            web.retrieve_instance_metadata(*uids(identity)),
            bulk_data_uri_handler=lambda uri: bytes(web.retrieve_bulkdata(uri)[0]),
        )
        whole = archive.fetch(identity.sop_instance_uid)
        for element in whole:
            if element.keyword in ("SpecificCharacterSet", "PixelData") or element.tag.element == 0:
                continue
            assert element.tag in served, (identity.sop_instance_uid, element.tag)
            assert_equal(served[element.tag], element)


def assert_equal(served, whole):
    if served.VR == "UN" and whole.VR != "UN":  # pydicom guesses private VRs that the object does not name
        assert whole.tag.is_private
        return
    if whole.VR == "SQ":
        assert len(served.value) == len(whole.value)
        return
    if whole.VR in ("OB", "OW", "UN", "OF", "OD", "OL", "OV"):
        assert bytes(served.value or b"").rstrip(b"\0") == bytes(whole.value or b"").rstrip(b"\0"), whole.tag
    elif whole.VR in ("DS", "IS"):
        assert [float(each) for each in as_list(served)] == [float(each) for each in as_list(whole)], whole.tag
    else:
        assert [str(each) for each in as_list(served)] == [str(each) for each in as_list(whole)], whole.tag


def as_list(element):
    if element.value is None or element.value == "":
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def test_frames_in_every_form(web, filled, archive):
    identity = filled.lossy()
    stored = archive.fetch(identity.sop_instance_uid).pixel_array
    raw = web.retrieve_instance_frames(*uids(identity), frame_numbers=[1])
    assert np.array_equal(np.frombuffer(raw[0], stored.dtype).reshape(stored.shape), stored)
    for media_type, syntax in {"image/jls": "80", "image/jp2": "90"}.items():
        form = ((media_type, f"1.2.840.10008.1.2.4.{syntax}"),)
        (stream,) = web.retrieve_instance_frames(*uids(identity), frame_numbers=[1], media_types=form)
        assert np.array_equal(decoded(archive.fetch(identity.sop_instance_uid), stream, form[0][1]), stored)


def decoded(dataset, stream, syntax):
    """The frame as pydicom's plug-ins decode it."""
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return dcmread(io.BytesIO(written.getvalue())).pixel_array


def test_frames_of_a_multi_frame_object(web, filled, archive):
    identity = next(each for each in filled.identities if len(each.certificate.frames) > 5)
    frames = archive.fetch(identity.sop_instance_uid).pixel_array
    numbers = [3, 1, 5]
    got = web.retrieve_instance_frames(*uids(identity), frame_numbers=numbers)
    for number, raw in zip(numbers, got, strict=True):
        assert np.array_equal(np.frombuffer(raw, frames.dtype).reshape(frames.shape[1:]), frames[number - 1])


def test_rendered(web, filled):
    picture = web.retrieve_instance_rendered(*uids(filled.lossy()), media_types=("image/png",))
    assert picture.startswith(b"\x89PNG")
    small = web.retrieve_instance_frames_rendered(*uids(filled.lossy()), frame_numbers=[1], media_types=("image/jpeg",))
    assert small.startswith(b"\xff\xd8")


def test_stored_is_there(tmp_path, filled, shared_data):
    """Into an archive of its own: stored, found, fetched."""
    process = WebProcess(settings_of(tmp_path / "archive", LOSSLESS))
    process.start()
    try:
        web = DICOMwebClient(f"http://127.0.0.1:{process.port}/dicom-web")
        datasets = [dcmread(path) for path in list(filled.files.values())[:4]]
        answer = web.store_instances(datasets)
        assert [str(item.ReferencedSOPInstanceUID) for item in answer.ReferencedSOPSequence] == [
            str(each.SOPInstanceUID) for each in datasets
        ]
        assert len(web.search_for_instances()) == 4
        sent = datasets[0]
        got = web.retrieve_instance(
            sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID, (("application/dicom", "*"),)
        )
        assert differences(sent, got) == []
    finally:
        process.stop()
