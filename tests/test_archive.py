"""The Python API, in an archive of one's own and in somebody else's application entity."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE

import mripacs
from mripacs.core.errors import ConflictError, InvalidIdentityError, NotDicomError, QueryError, UnknownInstanceError
from mripacs.core.model import Disposition, Generation, ReceivedObject
from mripacs.dimse import client
from tests.e2e.foreign_entity import Served, c_get
from tests.e2e.objects import encoded, mr_object, object_without_pixels, smooth_image, written

QUANTITATIVE = ["ORIGINAL", "PRIMARY", "PHASE MAP"]


@pytest.fixture
def archive(tmp_path):
    with mripacs.Archive.open(tmp_path / "archive") as opened:
        yield opened


# --- store, find, fetch, iterate -----------------------------------------------------------------------------------


def test_a_path_bytes_and_a_data_set_are_the_same_object(archive, tmp_path):
    dataset = mr_object()
    file = written(dataset, tmp_path / "one.dcm")
    receipts = [archive.store(each) for each in (file, str(file), file.read_bytes(), dcmread(file))]
    assert [receipt.disposition for receipt in receipts] == [Disposition.STORED] + [Disposition.DUPLICATE] * 3
    assert {receipt.original_sop_instance_uid for receipt in receipts} == {dataset.SOPInstanceUID}


@pytest.mark.filterwarnings("ignore:.*value for VR UI:UserWarning")
@pytest.mark.parametrize("padded", ["{} ", " {}", "{}\0"])
def test_one_uid_names_one_instance(archive, padded):
    """An object from the wire under a padded UID is refused, a data set's padding is taken off."""
    dataset = mr_object()
    uid = str(dataset.SOPInstanceUID)
    archive.store(encoded(dataset))
    dataset.PixelData = smooth_image()[::-1].tobytes()
    other = ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, MRImageStorage, padded.format(uid), "test")
    for take in (archive.store, archive.accept):
        with pytest.raises(InvalidIdentityError):
            take(other)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPInstanceUID = padded.format(uid)
    with pytest.raises(ConflictError):
        archive.store(dataset)
    assert [each.original_sop_instance_uid for each in archive] == [uid]


def test_fetch_by_either_uid(archive):
    dataset = mr_object()
    receipt = archive.store(encoded(dataset))
    assert receipt.certificate.generation is Generation.FIRST_LOSS
    by_original, by_served = (archive.fetch(uid) for uid in (dataset.SOPInstanceUID, receipt.sop_instance_uid))
    assert by_original == by_served
    assert by_original.SOPInstanceUID == receipt.sop_instance_uid != dataset.SOPInstanceUID
    error = by_original.pixel_array.astype(float) - smooth_image()
    assert 0 < np.linalg.norm(error) <= 0.05 * np.linalg.norm(smooth_image())


def test_identity_keep(tmp_path):
    settings = mripacs.load_settings(flags={"archive": {"directory": tmp_path, "identity": "keep"}}, environment={})
    dataset = mr_object()
    with mripacs.Archive.open(settings=settings) as archive:
        receipt = archive.store(encoded(dataset))
        fetched = archive.fetch(dataset.SOPInstanceUID)
    assert receipt.sop_instance_uid == fetched.SOPInstanceUID == dataset.SOPInstanceUID
    assert receipt.certificate.lossy
    assert fetched.LossyImageCompression == "01"


def test_two_archives_derive_the_same_uid_and_bytes(tmp_path):
    sent, leaving = encoded(mr_object()), []
    for name in ("a", "b"):
        with mripacs.Archive.open(tmp_path / name) as archive:
            leaving.append(archive.fetch_encoded(archive.store(sent).sop_instance_uid))
    assert leaving[0] == leaving[1]


def test_a_second_generation_costs_nothing(archive, tmp_path):
    first = archive.fetch(archive.store(encoded(mr_object())).sop_instance_uid)
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    settings = mripacs.load_settings(
        flags={"archive": {"directory": tmp_path / "other"}, "policy": {"rel_error": 0.01}}, environment={}
    )
    with mripacs.Archive.open(settings=settings) as other:
        receipt = other.store(first)
        second = other.fetch(receipt.sop_instance_uid)
    assert receipt.certificate.generation is Generation.STABLE
    assert receipt.sop_instance_uid == first.SOPInstanceUID
    assert second == first


def test_find_and_iterate(archive):
    for number in range(3):
        archive.store(encoded(mr_object(PatientID=f"P{number}", StudyDate=f"202{number}0101")))
    assert [row["PatientID"] for row in archive.find("STUDY", PatientID="P?", StudyDate="20210101-")] != []
    assert {row["PatientID"] for row in archive.find(PatientID="", StudyDate="20210101-")} == {"P1", "P2"}
    assert list(archive.find("PATIENT", PatientID="none")) == []
    assert len({identity.sop_instance_uid for identity in archive}) == archive.statistics().instances == 3
    with pytest.raises(QueryError, match="StudyDate"):
        list(archive.find(StudyDate="tomorrow"))
    with pytest.raises(QueryError, match="GALAXY"):
        archive.find("GALAXY")


def test_refusals(archive):
    dataset = mr_object()
    archive.store(encoded(dataset))
    dataset.PatientID = "OTHER"
    with pytest.raises(ConflictError, match="SHA-256"):
        archive.store(encoded(dataset))
    with pytest.raises(NotDicomError):
        archive.store(b"no DICOM at all, just text, and some more of it")
    with pytest.raises(UnknownInstanceError, match=r"1\.2\.3"):
        archive.fetch("1.2.3")
    assert archive.statistics().instances == 1


def test_store_many_names_each_outcome(archive, tmp_path):
    items = [
        ("good", encoded(mr_object())),
        ("bad", b"nothing" * 10),
        ("also good", written(mr_object(), tmp_path / "x.dcm")),
    ]
    outcomes = dict(archive.store_many(items))
    assert list(outcomes) == ["good", "bad", "also good"]
    assert [isinstance(outcome, mripacs.MripacsError) for outcome in outcomes.values()] == [False, True, False]


def test_references_are_rewritten_where_a_site_asks_for_it(tmp_path):
    settings = mripacs.load_settings(
        flags={"archive": {"directory": tmp_path, "rewrite_references": True}}, environment={}
    )
    image = mr_object()
    report = object_without_pixels("1.2.840.10008.5.1.4.1.1.88.59", Modality="KO")
    report.ReferencedImageSequence[0].ReferencedSOPInstanceUID = image.SOPInstanceUID
    with mripacs.Archive.open(settings=settings) as archive:
        served = archive.store(encoded(image)).sop_instance_uid
        fetched = archive.fetch(archive.store(encoded(report)).sop_instance_uid)
    assert fetched.ReferencedImageSequence[0].ReferencedSOPInstanceUID == served != image.SOPInstanceUID


# --- in somebody else's application entity -------------------------------------------------------------------------


def test_handlers_in_another_application_entity(archive, tmp_path):
    dataset = mr_object()
    file = written(dataset, tmp_path / "one.dcm")
    with Served(archive) as port:
        peer = client.Peer("127.0.0.1", port, "RESEARCH")
        client.echo(peer)
        association = AE()
        association.add_requested_context(MRImageStorage)
        established = association.associate("127.0.0.1", port)
        assert established.send_c_store(dcmread(file)).Status == 0x0000
        established.release()
        (row,) = client.find(peer, "STUDY", {"PatientID": dataset.PatientID, "StudyInstanceUID": ""})
        status, _, received = c_get(port, row["StudyInstanceUID"])
    assert status.Status == 0x0000
    assert received == [archive.identify(dataset.SOPInstanceUID).sop_instance_uid]
