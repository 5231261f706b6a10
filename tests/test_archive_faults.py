"""What an archive does when a codec, a decoder or a stored byte is wrong."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless

import mripacs
from mripacs.codec import registry
from mripacs.core.errors import DamagedInstanceError
from mripacs.core.model import Tier
from mripacs.dicom import pixels
from tests.e2e.foreign_entity import Served, c_get
from tests.e2e.objects import encoded, mr_object, smooth_image, written

QUANTITATIVE = ["ORIGINAL", "PRIMARY", "PHASE MAP"]


@pytest.fixture
def archive(tmp_path):
    with mripacs.Archive.open(tmp_path / "archive") as opened:
        yield opened


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


def changed(blob):
    """Another value; of a digest that is left out, since another column has it, one that is none."""
    return b"\1" * 32 if blob is None else blob[:-1] + bytes([blob[-1] ^ 1])


def flip(path, table, column, change=changed):
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
