"""The size that a compressed frame announces, read before a decoder allocates for it."""

from __future__ import annotations

from struct import Struct

_JPEG_START = b"\xff\xd8"
_J2K_START = b"\xff\x4f\xff\x51"  # SOC, SIZ: the main header of JPEG 2000 and HTJ2K (ISO/IEC 15444-1 A.5.1)
_J2K_SIZE = Struct(">4L")  # Xsiz, Ysiz, XOsiz, YOsiz, behind marker, length and capabilities
_J2K_SIZE_AT = 8

_SEGMENT = Struct(">BBH")  # 0xFF, marker, length (ISO/IEC 10918-1 B.1.1.4)
_FRAME_SIZE = Struct(">HH")  # lines, samples per line, behind length and precision
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 and JPEG-LS's SOF55


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream; None for anything else or damaged."""
    if frame.startswith(_J2K_START) and len(frame) >= _J2K_SIZE_AT + _J2K_SIZE.size:
        right, bottom, left, top = _J2K_SIZE.unpack_from(frame, _J2K_SIZE_AT)
        return bottom - top, right - left
    return _jpeg_size(frame) if frame.startswith(_JPEG_START) else None


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Walks the segments up to the frame header."""
    position = len(_JPEG_START)
    while position + _SEGMENT.size + 5 <= len(frame):
        fill, marker, length = _SEGMENT.unpack_from(frame, position)
        if fill != 0xFF:
            return None
        if marker in _FRAME_HEADERS:
            lines, samples = _FRAME_SIZE.unpack_from(frame, position + _SEGMENT.size + 1)
            return lines, samples
        position += 1 if marker == 0xFF else 2 + length  # 0xFF before a marker is fill (B.1.1.2)
    return None
