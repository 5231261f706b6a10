"""The Python API, and what it does when a codec, a decoder or a stored byte is wrong."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, MRImageStorage, generate_uid
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GetModel

import mripacs
from mripacs.codec import registry
from mripacs.core.errors import ConflictError, DamagedInstanceError, NotDicomError, QueryError, UnknownInstanceError
from mripacs.core.model import Disposition, Generation, Tier
from mripacs.dicom import pixels
from mripacs.dimse import client
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


# --- a fault in a codec or a decoder never costs the instance (G2) -------------------------------------------------


class Faulty:
    """A codec whose encode or decode is replaced."""

    def __init__(self, codec, **faults):
        self._codec = codec
        vars(self).update(faults)

    def __getattr__(self, name):
        return getattr(self._codec, name)


def raising(error):
    def fault(*_, **__):
        raise error

    return fault


def wrong_payload(codec):
    def encode(frames, target=None):
        other = codec.encode(np.roll(frames, 5, axis=-1) + 1, target)
        return replace(codec.encode(frames, target), payload=other.payload)

    return encode


def off_by_one(codec):
    def decode(payload, **limits):
        return codec.decode(payload, **limits) + 1

    return decode


FAULTS = {
    "encode raises": lambda codec: {"encode": raising(RuntimeError("a defect"))},
    "encode raises MemoryError": lambda codec: {"encode": raising(MemoryError())},
    "wrong payload": lambda codec: {"encode": wrong_payload(codec)},
    "decode differs": lambda codec: {"decode": off_by_one(codec)},
    "decode raises": lambda codec: {"decode": raising(ValueError("a defect"))},
}


@pytest.fixture
def inject(monkeypatch):
    """`inject(fault, *names)` gives those codecs a fault."""
    plain = registry.find

    def injector(fault, *names):
        def find(name, version=None):
            codec = plain(name, version)
            return Faulty(codec, **FAULTS[fault](codec)) if name in names else codec

        monkeypatch.setattr(registry, "find", find)

    return injector


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("names", "tier"),
    [(("kwavelet",), Tier.LOSSLESS), (("kwavelet", "lossless"), Tier.VERBATIM)],
    ids=["lossy codec", "both codecs"],
)
def test_a_faulty_codec_costs_bytes_only(archive, inject, monkeypatch, fault, names, tier):
    sent = encoded(mr_object())
    inject(fault, *names)
    receipt = archive.store(sent)
    monkeypatch.undo()
    assert receipt.certificate.tier is tier
    assert "lossy" in receipt.certificate.reason
    assert ("lossless" in receipt.certificate.reason) == (tier is Tier.VERBATIM)
    assert archive.fetch_encoded(receipt.sop_instance_uid).dataset == sent
    assert [findings for _, findings in archive.verify() if findings] == []


def test_a_faulty_pixel_decoder_costs_bytes_only(archive, monkeypatch, tmp_path):
    dataset = mr_object()
    written(dataset, tmp_path / "one.dcm")  # gives it the file meta information that pydicom compresses by
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    monkeypatch.setattr(pixels.decode, "decode_encapsulated", raising(RuntimeError("a defect")))
    receipt = archive.store(dataset)
    monkeypatch.undo()
    assert receipt.certificate.tier is Tier.VERBATIM
    assert "RuntimeError" in receipt.certificate.reason
    assert np.array_equal(archive.fetch(dataset.SOPInstanceUID).pixel_array, smooth_image())


# --- damage never leaves (G6) --------------------------------------------------------------------------------------


def flip(path, table, column, change=lambda blob: blob[:-1] + bytes([blob[-1] ^ 1])):
    """Change a stored value behind the node's back."""
    with sqlite3.connect(path / "archive" / "mripacs.db") as database:
        rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()  # noqa: S608
        assert rows
        for row, blob in rows:
            database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (change(blob), row))  # noqa: S608
    database.close()


DAMAGE = {
    "payload": ("payload", "data"),
    "header": ("header", "data"),
    "received digest": ("instance", "received_digest"),
    "decoded digest": ("instance", "decoded_pixel_digest"),
}


# The received bytes of a lossy instance are gone: nothing is left to hold their digest against.
@pytest.mark.parametrize(
    ("part", "image_type"),
    [(part, ["ORIGINAL", "PRIMARY", "M"]) for part in DAMAGE if part != "received digest"]
    + [(part, QUANTITATIVE) for part in DAMAGE],
    ids=str,
)
def test_damage_is_found_and_never_leaves(archive, tmp_path, part, image_type):
    receipt = archive.store(encoded(mr_object(ImageType=image_type)))
    archive.fetch(receipt.sop_instance_uid)
    flip(tmp_path, *DAMAGE[part])
    with pytest.raises(DamagedInstanceError, match=receipt.sop_instance_uid):
        archive.fetch(receipt.sop_instance_uid)
    findings = [finding for _, found in archive.verify() for finding in found]
    assert receipt.sop_instance_uid in {finding.sop_instance_uid for finding in findings}


def test_damage_fails_its_sub_operation_only(archive, tmp_path):
    damaged = mr_object()
    archive.store(encoded(damaged))
    flip(tmp_path, "payload", "data")
    good = mr_object(StudyInstanceUID=damaged.StudyInstanceUID, ImageType=QUANTITATIVE)
    archive.store(encoded(good))
    with Served(archive) as port:
        status, identifier, received = c_get(port, damaged.StudyInstanceUID)
    assert status.Status == 0xB000
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (1, 1)
    assert identifier.FailedSOPInstanceUIDList == archive.identify(damaged.SOPInstanceUID).sop_instance_uid
    assert received == [good.SOPInstanceUID]


# --- in somebody else's application entity -------------------------------------------------------------------------


class Served:
    """An application entity that is not ours, with our handlers."""

    def __init__(self, archive):
        entity = AE(ae_title="RESEARCH")
        entity.add_supported_context("1.2.840.10008.1.1")
        entity.add_supported_context(GetModel)
        entity.add_supported_context("1.2.840.10008.5.1.4.1.2.2.1")
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=mripacs.evt_handlers(archive))

    def __enter__(self):
        return self._server.server_address[1]

    def __exit__(self, *_):
        self._server.shutdown()


def c_get(port, study_uid):
    """Final status and identifier of a C-GET of a study, and the UIDs that came."""
    received = []

    def store(event):
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_uid
    contexts = [build_context(GetModel), build_context(MRImageStorage)]
    roles = [build_role(MRImageStorage, scp_role=True)]
    association = AE().associate(
        "127.0.0.1", port, contexts=contexts, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        *_, (status, failed) = association.send_c_get(identifier, GetModel)
        return status, failed, received
    finally:
        association.release()


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
