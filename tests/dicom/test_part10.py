"""Part 10 files of every sort, and files that are none."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest

from mripacs.core.errors import NotDicomError, RefusedError, TranscodeError, TruncatedDatasetError
from mripacs.core.model import Outgoing
from mripacs.dicom.part10 import IMPLEMENTATION_VERSION_NAME, read_part10, to_dataset, write_part10
from mripacs.dicom.transcode import transcode
from mripacs.dicom.transfer_syntax import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    NATIVE_SYNTAXES,
)
from tests.dicom import made


def outgoing(dataset: bytes, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> Outgoing:
    return Outgoing(made.MR_IMAGE, "1.2.3", syntax, dataset)


def test_every_file_is_read_and_written_back(dev_files: list[Path]) -> None:
    for path in dev_files:
        received = read_part10(path)
        meta = pydicom.filereader.read_file_meta_info(path)
        assert received.transfer_syntax == meta.TransferSyntaxUID
        assert received.sop_instance_uid == pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID
        assert path.read_bytes().endswith(received.dataset)
        written = write_part10(
            Outgoing(received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax, received.dataset)
        )
        assert read_part10(written) == received


def test_meta_information_conforms() -> None:
    meta = pydicom.dcmread(io.BytesIO(write_part10(outgoing(made.image())))).file_meta
    pydicom.dataset.validate_file_meta(meta)
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME == IMPLEMENTATION_VERSION_NAME[:16]
    assert meta.ImplementationClassUID.is_valid


@pytest.mark.parametrize("start", [0, 128, 132])
def test_without_preamble(start: int) -> None:
    content = write_part10(outgoing(made.image()))
    received = read_part10(content[start:] if start else content)
    assert (received.dataset, received.sop_instance_uid, received.source) == (made.image(), "1.2.3", "import")


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
def test_bare_data_sets(syntax: str) -> None:
    dataset = transcode(made.image(), EXPLICIT_VR_LITTLE_ENDIAN, syntax)
    received = read_part10(dataset)
    assert (received.dataset, received.transfer_syntax) == (dataset, syntax)
    assert (received.sop_class_uid, received.sop_instance_uid) == (made.MR_IMAGE, "1.2.3")


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
def test_uids_come_from_the_data_set(syntax: str) -> None:
    dataset = transcode(made.image(), EXPLICIT_VR_LITTLE_ENDIAN, syntax)
    received = read_part10(write_part10(Outgoing("1.9", "1.9.9", syntax, dataset)))
    assert (received.sop_class_uid, received.sop_instance_uid) == (made.MR_IMAGE, "1.2.3")


@pytest.mark.parametrize(
    "content", [b"", b"x", bytes(200), b"hello, world\n" * 50, bytes(128) + b"DICM", b"PK\3\4" + bytes(300)]
)
def test_what_is_no_file_of_ours(content: bytes) -> None:
    with pytest.raises(NotDicomError):
        read_part10(content)


def test_meta_that_ends_too_early() -> None:
    with pytest.raises(TruncatedDatasetError):
        read_part10(write_part10(outgoing(made.image()))[:200])


def test_unreadable_paths_are_refused_without_naming_them(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refusal:
        read_part10(tmp_path / "Doe^Jane.dcm")
    assert "Doe" not in str(refusal.value)


def test_to_dataset(shared_data: Path) -> None:
    received = made.find(shared_data, "MR_small.dcm")
    dataset = to_dataset(
        Outgoing(received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax, received.dataset)
    )
    assert dataset.SOPInstanceUID == received.sop_instance_uid
    assert dataset.pixel_array.shape == (64, 64)


def test_nesting_that_pydicom_cannot_read() -> None:
    with pytest.raises(TranscodeError):
        to_dataset(outgoing(made.nested(100_000, implicit=False)))
