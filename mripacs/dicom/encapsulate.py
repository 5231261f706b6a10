"""Codestreams as encapsulated Pixel Data, and frames out of it (PS3.5 A.4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pydicom import uid
from pydicom.encaps import generate_frames

from mripacs.core.errors import PixelDataError, RefusedError, TranscodeError
from mripacs.dicom.encode import Element
from mripacs.dicom.headers import EXPLICIT, ITEM, SEQUENCE_END, UNDEFINED_LENGTH
from mripacs.dicom.reencode import reencode
from mripacs.dicom.scan import PIXEL_DATA, scan
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN

JPEG_LS_LOSSLESS = str(uid.JPEGLSLossless)
JPEG_2000_LOSSLESS = str(uid.JPEG2000Lossless)
HTJ2K_LOSSLESS = str(uid.HTJ2KLossless)

STREAM_OF_SYNTAX = {JPEG_LS_LOSSLESS: "jpeg-ls", JPEG_2000_LOSSLESS: "jpeg-2000", HTJ2K_LOSSLESS: "htj2k"}
"""Transfer syntaxes that a data set can be written in without loss besides the native ones: kind of codestream."""

_ITEM_HEADER = struct.Struct("<HHI")
_LONGEST_OFFSET = 2**32 - 1


def encapsulated(dataset: bytes, streams: Sequence[bytes]) -> bytes:
    """A data set in Explicit VR Little Endian with one fragment a frame instead of its native Pixel Data.

    Raises TranscodeError when the data set has no Pixel Data or cannot be read.
    """
    try:
        dataset_map = scan(dataset, EXPLICIT_VR_LITTLE_ENDIAN)
        if dataset_map.pixel is None:
            raise TranscodeError("the data set has no Pixel Data")
        value = b"".join((_offset_table(streams), *(_item(stream) for stream in streams)))
        written = reencode(dataset, dataset_map, EXPLICIT, {PIXEL_DATA: Element(PIXEL_DATA, "OB", value)})
        span = scan(written, EXPLICIT_VR_LITTLE_ENDIAN).elements[PIXEL_DATA]
    except RefusedError as error:
        raise TranscodeError(f"the data set cannot be read: {error}") from error
    delimiter = _ITEM_HEADER.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)
    length = UNDEFINED_LENGTH.to_bytes(4, "little")
    return b"".join((written[: span.value_start - 4], length, value, delimiter, written[span.end :]))


def fragments_by_frame(value: bytes, number_of_frames: int) -> list[bytes]:
    """The codestream of each frame of an encapsulated pixel value. Raises PixelDataError."""
    try:
        return list(generate_frames(value, number_of_frames=number_of_frames))
    except (ValueError, EOFError, struct.error, StopIteration) as error:
        raise PixelDataError(f"the fragments cannot be told apart: {type(error).__name__}") from error


def _offset_table(streams: Sequence[bytes]) -> bytes:
    """The Basic Offset Table; empty where an offset would not fit (PS3.5 A.4)."""
    offsets, position = [], 0
    for stream in streams:
        offsets.append(position)
        position += _ITEM_HEADER.size + len(stream) + len(stream) % 2
    if position > _LONGEST_OFFSET:
        return _item(b"")
    return _item(struct.pack(f"<{len(offsets)}I", *offsets))


def _item(content: bytes) -> bytes:
    padded = content + b"\0" * (len(content) % 2)
    return _ITEM_HEADER.pack(ITEM >> 16, ITEM & 0xFFFF, len(padded)) + padded
