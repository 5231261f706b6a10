"""Part 10 files (PS3.10 7): read leniently, written to the letter."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import pydicom

from mripacs import __version__
from mripacs.core.errors import NotDicomError, RefusedError, TranscodeError, TruncatedDatasetError
from mripacs.core.model import Outgoing, ReceivedObject
from mripacs.dicom.encode import Element, explicit_bytes
from mripacs.dicom.headers import EXPLICIT, UNDEFINED_LENGTH, has_known_vr, read_header
from mripacs.dicom.scan import scan
from mripacs.dicom.transcode import MAX_INFLATED_BYTES
from mripacs.dicom.transfer_syntax import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    plain,
)
from mripacs.dicom.values import text_value

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
IMPLEMENTATION_CLASS_UID = "2.25.5250362428260905174276052251969858633"  # ours, drawn once
IMPLEMENTATION_VERSION_NAME = f"MRIPACS_{__version__.replace('.', '_')}"[:16]  # SH

MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
TRANSFER_SYNTAX_UID = 0x00020010
SOP_CLASS_UID = 0x00080016
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SOP_INSTANCE_UID = 0x00080018

_BEGINNING = bytes(PREAMBLE_BYTES) + MAGIC + explicit_bytes(Element(0x00020000, "UL", bytes(4)))[:-4]  # to the length


def read_part10(file: Path | str | bytes, max_inflated_bytes: int = MAX_INFLATED_BYTES) -> ReceivedObject:
    """The object in a Part 10 file, a file that lacks preamble or meta information, or a bare data set.

    file : a path, or the file's bytes. The UIDs are the data set's own ("" when it has none): many an anonymiser leaves
    old ones in the file meta information. Without that the encoding is guessed from the first element. The data set's
    bytes stay as they are, deflated ones deflated. Raises NotDicomError for anything else, RefusedError when the file
    cannot be read, ObjectTooLargeError for more than `max_inflated_bytes` in a deflated one.
    """
    content = file if isinstance(file, bytes) else _read(Path(file))
    starts = (at + len(MAGIC) for at in (PREAMBLE_BYTES, 0) if content[at : at + len(MAGIC)] == MAGIC)
    meta, start = _read_meta(content, next(starts, 0))
    dataset = content[start:]
    if len(dataset) < 8:
        raise NotDicomError(f"{len(content)} bytes without a data set in them")
    syntax = meta.get(TRANSFER_SYNTAX_UID) or guess_syntax(dataset)
    bare = plain(dataset, syntax, max_inflated_bytes)
    dataset_map = scan(bare, syntax)
    sop_class_uid = text_value(bare, dataset_map, SOP_CLASS_UID)
    return ReceivedObject(dataset, syntax, sop_class_uid, text_value(bare, dataset_map, SOP_INSTANCE_UID), "import")


def study_and_series(received: ReceivedObject, max_inflated_bytes: int = MAX_INFLATED_BYTES) -> tuple[str, str]:
    """Study and Series Instance UID of an object, "" where it has none. Raises RefusedError when it cannot be read."""
    bare = plain(received.dataset, received.transfer_syntax, max_inflated_bytes)
    dataset_map = scan(bare, received.transfer_syntax)
    return text_value(bare, dataset_map, STUDY_INSTANCE_UID), text_value(bare, dataset_map, SERIES_INSTANCE_UID)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(f"the file cannot be read: {error.strerror}") from error


def _read_meta(content: bytes, position: int) -> tuple[dict[int, str], int]:
    """UIDs of the file meta information (always Explicit VR Little Endian, PS3.10 7.1) and where it ends."""
    found: dict[int, str] = {}
    while content[position : position + 2] == b"\x02\x00":
        tag, _, length, start = read_header(content, position, len(content), EXPLICIT)
        if length == UNDEFINED_LENGTH or start + length > len(content):
            raise TruncatedDatasetError("the file ends inside its file meta information")
        found[tag] = content[start : start + length].decode("ascii", "replace").strip(" \0")
        position = start + length
    return found, position


def guess_syntax(dataset: bytes) -> str:
    """The native syntax that a bare data set begins like: its first group is a small number, then comes a VR or not."""
    if not has_known_vr(dataset, 0):
        return IMPLICIT_VR_LITTLE_ENDIAN
    return EXPLICIT_VR_BIG_ENDIAN if dataset[0] == 0 and dataset[1] else EXPLICIT_VR_LITTLE_ENDIAN


def write_part10(outgoing: Outgoing) -> bytes:
    """A Part 10 file: zero preamble, file meta information, the data set's bytes (PS3.10 7.1)."""
    before, behind = _constant_meta(outgoing.sop_class_uid, outgoing.transfer_syntax)
    uid = explicit_bytes(Element(MEDIA_STORAGE_SOP_INSTANCE_UID, "UI", outgoing.sop_instance_uid.encode()))
    length = (len(before) + len(uid) + len(behind)).to_bytes(4, "little")
    return b"".join((_BEGINNING, length, before, uid, behind, outgoing.dataset))


@lru_cache(256)
def _constant_meta(sop_class_uid: str, transfer_syntax: str) -> tuple[bytes, bytes]:
    """File meta information before and behind the instance's UID, kept for a series: 4 us a file instead of 15."""
    before = (
        Element(0x00020001, "OB", b"\0\1"),
        Element(MEDIA_STORAGE_SOP_CLASS_UID, "UI", sop_class_uid.encode()),
    )
    behind = (
        Element(TRANSFER_SYNTAX_UID, "UI", transfer_syntax.encode()),
        Element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode()),
        Element(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode()),
    )
    return b"".join(map(explicit_bytes, before)), b"".join(map(explicit_bytes, behind))


def to_dataset(outgoing: Outgoing) -> pydicom.FileDataset:
    """The instance as a pydicom data set, with file meta information, as `pydicom.dcmread` gives it.

    Raises TranscodeError when pydicom cannot read it.
    """
    try:
        return pydicom.dcmread(io.BytesIO(write_part10(outgoing)))
    except (ValueError, LookupError, EOFError, OSError, RecursionError, NotImplementedError) as error:
        raise TranscodeError(f"pydicom cannot read the data set: {error}") from error
