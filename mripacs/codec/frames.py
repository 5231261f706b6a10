"""Frame kinds: how one frame of a payload is coded. The first byte's high 3 bits name the kind.

    kind            low 5 bits of byte 0   then
    0 constant      0                      value, zigzag LEB128; a colour frame is never constant
    1 kwavelet      clip code              2 bytes, little endian: step index + 2^11 * mode (0), coded bands
    2 JPEG XL       0                      offset, zigzag LEB128, added to the decoded samples; a JPEG XL codestream
    3 raw           0                      samples, little endian, in raster order, compressed by zlib

A clip code is bits - 1 for [0, 2^bits - 1], bits 1 to 16, and 16 + bits for [-2^bits, 2^bits - 1], bits 0 to 15.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.payload import Reader, Shape, varint
from mripacs.core.errors import PayloadError

DETAIL_BITS = 5


class FrameKind(enum.IntEnum):
    """The high 3 bits of a frame's first byte."""

    CONSTANT = 0
    KWAVELET = 1
    JPEG_XL = 2
    RAW = 3


def head(kind: FrameKind, detail: int = 0) -> bytes:
    """A frame's first byte."""
    return bytes([kind << DETAIL_BITS | detail])


def split_head(frame: bytes) -> tuple[FrameKind, int, Reader]:
    """Kind, low 5 bits and a reader of what follows. Raises PayloadError for unknown kinds."""
    reader = Reader(frame)
    kind, detail = divmod(reader.byte(), 1 << DETAIL_BITS)
    if kind >= len(FrameKind):
        raise PayloadError(f"frame kind {kind} is unknown to this release")
    return FrameKind(kind), detail, reader


def zigzag(value: int) -> bytes:
    """LEB128 of a signed number: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return varint(2 * value if value >= 0 else -2 * value - 1)


def read_zigzag(reader: Reader) -> int:
    """Undo `zigzag`."""
    value = reader.varint()
    return -(value + 1) // 2 if value & 1 else value // 2


def encode_constant(frame: NDArray[Any]) -> bytes:
    """A frame whose samples are all the same."""
    return head(FrameKind.CONSTANT) + zigzag(int(frame.flat[0]))


def decode_constant(reader: Reader, shape: Shape) -> NDArray[Any]:
    """The frame (rows, columns). Raises PayloadError for a value outside the sample type."""
    value = read_zigzag(reader)
    require_end(reader)
    limits = np.iinfo(shape.dtype)
    if not limits.min <= value <= limits.max:
        raise PayloadError(f"constant {value} does not fit {shape.dtype}")
    return np.full(shape.frame_shape, value, shape.dtype)


def require_end(reader: Reader) -> None:
    """Raise PayloadError if bytes are left."""
    if reader.left:
        raise PayloadError(f"{reader.left} bytes follow the end of a frame")
