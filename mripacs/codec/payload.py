"""The container that all payloads share: shape and sample type, a frame table, frames, checksum.

    offset  size      field
    0       1         magic 0xB5
    1       1         format version (high 4 bits, 1) and codec (low 4 bits: 1 kwavelet, 2 lossless)
    2       1         flags: bits 0-1 sample type (0 uint8, 1 uint16, 2 int16), bit 2 square (no columns field),
                      bit 3 stack (a frame count and a frame table follow), bit 4 three samples a pixel; others 0
    3       1-5       rows, LEB128
            0-5       columns, LEB128, unless square
            0-5       number of frames, LEB128, only in a stack
                      bytes of each frame, LEB128, only in a stack
                      the frames; each decodes alone (`frames` says how)
    -4      4         CRC-32 (zlib's) of all bytes before, little endian

A decoder checks the CRC first, then every field against the bytes that are there, and allocates nothing before that.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from mripacs.codec.contract import DEFAULT_MAX_SAMPLES
from mripacs.core.errors import CodecLimitError, PayloadError

MAGIC = 0xB5
FORMAT_VERSION = 1
SAMPLE_TYPES: tuple[np.dtype[Any], ...] = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int16))
SQUARE, STACK, COLOUR, UNKNOWN_FLAGS = 4, 8, 16, 0xE0
SAMPLE_TYPE_MASK = 3
CRC_SIZE = 4
MAX_VARINT = 5  # bytes: values below 2^35


@dataclass(frozen=True, slots=True)
class Shape:
    """What all frames of a payload have in common."""

    rows: int
    columns: int
    dtype: np.dtype[Any]
    samples_per_pixel: int = 1

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(rows, columns) or (rows, columns, 3)."""
        plane = (self.rows, self.columns)
        return plane if self.samples_per_pixel == 1 else (*plane, self.samples_per_pixel)

    @property
    def samples(self) -> int:
        """Samples of one frame."""
        return self.rows * self.columns * self.samples_per_pixel


@dataclass(frozen=True, slots=True)
class Container:
    """A parsed payload."""

    codec: int
    shape: Shape
    stack: bool
    frames: tuple[bytes, ...]


def pack(container: Container) -> bytes:
    """The payload's bytes."""
    shape = container.shape
    flags = SAMPLE_TYPES.index(shape.dtype)
    flags |= SQUARE if shape.rows == shape.columns else 0
    flags |= STACK if container.stack else 0
    flags |= COLOUR if shape.samples_per_pixel > 1 else 0
    parts = [bytes([MAGIC, FORMAT_VERSION << 4 | container.codec, flags]), varint(shape.rows)]
    if shape.rows != shape.columns:
        parts.append(varint(shape.columns))
    if container.stack:
        parts.append(varint(len(container.frames)))
        parts += [varint(len(frame)) for frame in container.frames]
    body = b"".join(parts) + b"".join(container.frames)
    return body + zlib.crc32(body).to_bytes(CRC_SIZE, "little")


def unpack(payload: bytes, max_samples: int = DEFAULT_MAX_SAMPLES) -> Container:
    """Parse a payload. Raises PayloadError, and CodecLimitError above `max_samples` samples in all frames."""
    reader = Reader(_checked(payload))
    if reader.byte() != MAGIC:
        raise PayloadError("not a mripacs payload: wrong magic")
    version, codec = divmod(reader.byte(), 16)
    if version != FORMAT_VERSION:
        raise PayloadError(f"payload format version {version} is unknown; this release reads {FORMAT_VERSION}")
    flags = reader.byte()
    shape = _shape(reader, flags)
    stack = bool(flags & STACK)
    count = reader.varint() if stack else 1
    if count == 0:
        raise PayloadError("payload has no frames")
    if shape.samples * count > max_samples:
        raise CodecLimitError(f"payload claims {count} x {shape.samples} samples, allowed are {max_samples}")
    if stack and count > reader.left:
        raise PayloadError(f"frame table of {count} frames does not fit into {reader.left} bytes")
    sizes = [reader.varint() for _ in range(count)] if stack else [reader.left]
    if sum(sizes) != reader.left:
        raise PayloadError(f"frames take {sum(sizes)} bytes, {reader.left} are there")
    return Container(codec, shape, stack, tuple(reader.take(size) for size in sizes))


def _checked(payload: bytes) -> bytes:
    body, crc = payload[:-CRC_SIZE], payload[-CRC_SIZE:]
    if not body or zlib.crc32(body) != int.from_bytes(crc, "little"):
        raise PayloadError(f"payload of {len(payload)} bytes is damaged: its CRC-32 does not match")
    return body


def _shape(reader: Reader, flags: int) -> Shape:
    kind = flags & SAMPLE_TYPE_MASK
    if flags & UNKNOWN_FLAGS or kind >= len(SAMPLE_TYPES):
        raise PayloadError(f"unknown payload flags 0x{flags:02x}")
    rows = reader.varint()
    columns = rows if flags & SQUARE else reader.varint()
    if rows == 0 or columns == 0:
        raise PayloadError(f"payload claims {rows} x {columns} pixels")
    return Shape(rows, columns, SAMPLE_TYPES[kind], 3 if flags & COLOUR else 1)


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, lowest first, high bit set on all but the last byte."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


class Reader:
    """Reads fields from bytes; PayloadError past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise PayloadError(f"{size} bytes wanted, {self.left} left")
        self._at += size
        return self._data[self._at - size : self._at]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def varint(self) -> int:
        """The next LEB128 number, of MAX_VARINT bytes at most."""
        value = 0
        for position in range(MAX_VARINT):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                return value
        raise PayloadError("a number is longer than 5 bytes")
