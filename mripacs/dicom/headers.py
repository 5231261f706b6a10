"""Element headers in the three encodings of PS3.5 7.1: implicit, explicit and explicit big endian."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from mripacs.core.errors import NotDicomError, TruncatedDatasetError

Buffer = bytes | bytearray | memoryview
Header = tuple[
    int, str | None, int, int
]  # tag, VR (None in implicit VR and for group FFFE), length, offset of the value

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
ITEM_GROUP = 0xFFFE
LONGEST_HEADER = 12  # bytes: explicit VR with a 32-bit length

SHORT_VRS = [
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FL",
    "FD",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "TM",
    "UI",
    "UL",
    "US",
]
LONG_VRS = ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]
FORMS = {vr.encode(): (vr, vr in LONG_VRS) for vr in SHORT_VRS + LONG_VRS}  # VR on the wire -> name, 32-bit length?


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a data set's elements are encoded; the structs read tag and VR, a tag, a 16-bit and a 32-bit length."""

    implicit: bool
    big_endian: bool
    head: Struct
    length: Struct


def _dialect(*, implicit: bool, big_endian: bool) -> Dialect:
    order = ">" if big_endian else "<"
    return Dialect(implicit, big_endian, Struct(order + "HH2sH"), Struct(order + "L"))


IMPLICIT = _dialect(implicit=True, big_endian=False)
EXPLICIT = _dialect(implicit=False, big_endian=False)
BIG_ENDIAN = _dialect(implicit=False, big_endian=True)


def read_header(buffer: Buffer, position: int, end: int, dialect: Dialect) -> Header:
    """The header at `position`, which must lie before `end`. The announced length is returned unchecked.

    Raises TruncatedDatasetError when `end` comes first and NotDicomError where no VR can be.
    """
    if end - position < 8:
        raise TruncatedDatasetError(f"the data set ends inside the header of an element at offset {position}")
    group, element, vr, short = dialect.head.unpack_from(buffer, position)
    tag = group << 16 | element
    if dialect.implicit or group == ITEM_GROUP:
        return tag, None, dialect.length.unpack_from(buffer, position + 4)[0], position + 8
    name, is_long = FORMS.get(vr) or _unknown_form(buffer, position, end, dialect, tag)
    if not is_long:
        return tag, name, short, position + 8
    if end - position < 12:
        raise TruncatedDatasetError(f"the data set ends inside the header of {tag_text(tag)} at offset {position}")
    return tag, name, dialect.length.unpack_from(buffer, position + 8)[0], position + 12


def skip_plain(buffer: Buffer, position: int, end: int, dialect: Dialect) -> int:
    """Where the first element at or after `position` starts that is not plain: no known VR, delimiter, undefined
    length, or longer than the room to `end`. What `read_header` would say of the plain ones, in a third of the time.
    """
    head, length_of, implicit = dialect.head.unpack_from, dialect.length.unpack_from, dialect.implicit
    while end - position >= LONGEST_HEADER:
        group, _, vr, length = head(buffer, position)
        start = position + 8
        if implicit:
            length = length_of(buffer, position + 4)[0]
        elif (form := FORMS.get(vr)) is None:
            break
        elif form[1]:
            length, start = length_of(buffer, position + 8)[0], position + 12
        if start + length > end or group == ITEM_GROUP or length == UNDEFINED_LENGTH:
            break
        position = start + length
    return position


def _unknown_form(buffer: Buffer, position: int, end: int, dialect: Dialect, tag: int) -> tuple[str, bool]:
    """VRs of later editions have 32-bit lengths (PS3.5 7.1.2); old private ones ("??") have 16-bit lengths."""
    _, _, vr, reserved = dialect.head.unpack_from(buffer, position)
    if not all(0x20 <= letter <= 0x7E for letter in vr):
        raise NotDicomError(f"no VR stands after {tag_text(tag)} at offset {position}")
    fits = end - position >= 12 and dialect.length.unpack_from(buffer, position + 8)[0] <= end - position - 12
    return vr.decode("ascii"), reserved == 0 and fits


def has_known_vr(buffer: Buffer, position: int) -> bool:
    """Whether the two bytes after the tag at `position` are a VR of PS3.5 6.2."""
    return bytes(buffer[position + 4 : position + 6]) in FORMS


def item_dialect(buffer: Buffer, position: int, end: int, dialect: Dialect) -> Dialect:
    """The dialect inside an item at `position`: there are scanners that write implicit items in explicit data."""
    if dialect.implicit or end - position < 8:
        return dialect
    group, _, vr, _ = dialect.head.unpack_from(buffer, position)
    if group == ITEM_GROUP or all(0x20 <= letter <= 0x7E for letter in vr):
        return dialect
    return IMPLICIT if not dialect.big_endian else dialect


def tag_text(tag: int) -> str:
    """The tag as DICOM writes it, for messages: (0008,0018)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
