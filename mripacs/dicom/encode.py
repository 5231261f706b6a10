"""Elements written in a dialect: headers, lengths, byte order, and the VR that implicit VR leaves out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mripacs.dicom.dictionary import vr_of_tag
from mripacs.dicom.headers import (
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Dialect,
)
from mripacs.dicom.nesting import content_dialect
from mripacs.dicom.walk import Kind, Token

PIXEL_REPRESENTATION = 0x00280103
LONGEST_SHORT = 0xFFFE  # bytes; a longer value of a VR with 16-bit lengths is written as UN (PS3.5 6.2.2 note 3)

_WORD_BYTES = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}  # of VRs whose values depend on byte order (PS3.5 7.3)


class Element(NamedTuple):
    """An element of ours: its value is little endian; a sequence's value is its items, already encoded explicitly."""

    tag: int
    vr: str
    value: bytes


def header_bytes(tag: int, vr: str, length: int, dialect: Dialect) -> bytes:
    """An element's header. A short VR's length must be LONGEST_SHORT at most."""
    group_element = divmod(tag, 0x10000)
    if dialect.implicit or vr == "":
        return dialect.head.pack(*group_element, b"\0\0", 0)[:4] + dialect.length.pack(length)
    if vr in SHORT_VRS:
        return dialect.head.pack(*group_element, vr.encode(), length)
    return dialect.head.pack(*group_element, vr.encode(), 0) + dialect.length.pack(length)


def explicit_bytes(element: Element) -> bytes:
    """The element in Explicit VR Little Endian, padded to even length as its VR wants (PS3.5 6.2)."""
    padded = padded_value(element)
    return header_bytes(element.tag, element.vr, len(padded), EXPLICIT) + padded


def padded_value(element: Element) -> bytes:
    """The value at even length: spaces behind text, a NUL behind UIDs and bytes."""
    pad = b"\0" if element.vr in ("UI", "OB", "OW", "UN", "SQ") else b" "
    return element.value + pad * (len(element.value) % 2)


def item_bytes(elements: list[Element]) -> bytes:
    """A sequence item of defined length in Explicit VR Little Endian; elements in ascending order of tags."""
    content = b"".join(explicit_bytes(element) for element in elements)
    return header_bytes(ITEM, "", len(content), EXPLICIT) + content


def swapped(value: bytes, vr: str | None) -> bytes:
    """The value in the other byte order; bytes behind the last whole word stay."""
    width = _WORD_BYTES.get(vr or "", 1)
    if width == 1:
        return value
    whole = len(value) - len(value) % width
    return np.frombuffer(value[:whole], f"u{width}").byteswap().tobytes() + value[whole:]


class Encoder:
    """Writes the tokens of `walk` in a target dialect. Sequences keep the form of their lengths; group lengths go.

    signed : Pixel Representation of the data set that the tokens come from; decides "US or SS" (PS3.5 A.1).
    wide_pixels : Bits Allocated is over 8; decides "OB or OW" of Pixel Data.
    """

    def __init__(self, target: Dialect, *, signed: bool, wide_pixels: bool) -> None:
        self.target = target
        self._wide_pixels = wide_pixels
        self._signed = [signed]
        self._dialects = [target]
        self._length_at: list[int | None] = []  # where the length of each open sequence or item is to be filled in
        self._out = bytearray()

    def take(self) -> bytes:
        """What has been written since the last call; no sequence may be open."""
        taken = bytes(self._out)
        self._out.clear()
        return taken

    def write(self, token: Token, value: bytes) -> None:
        """Write one token; `value` is the bytes of an element or fragment in the token's own dialect."""
        match token.kind:
            case Kind.ELEMENT:
                self._element(token, value)
            case Kind.SEQUENCE:
                self._begin_sequence(token)
            case Kind.ITEM:
                self._signed.append(self._signed[-1])
                self._begin(ITEM, "", token.undefined_length)
            case Kind.FRAGMENT:
                self._out += header_bytes(ITEM, "", len(value), self._dialects[-1]) + value
            case Kind.ITEM_END:
                self._signed.pop()
                self._end(ITEM_END)
            case Kind.SEQUENCE_END:
                self._dialects.pop()
                self._end(SEQUENCE_END)

    def _element(self, token: Token, value: bytes) -> None:
        if token.tag & 0xFFFF == 0:
            return  # a group length: optional (PS3.5 7.2), and wrong after any change
        vr = self.vr_for(token, len(value))
        dialect = self._dialects[-1]
        written_big = token.dialect.big_endian and token.vr != "UN"
        wanted_big = dialect.big_endian and vr != "UN"
        if token.tag == PIXEL_REPRESENTATION:
            self._signed[-1] = any(value)
        if written_big != wanted_big:
            value = swapped(value, token.vr or vr_without_choice(token.tag))
        self._out += header_bytes(token.tag, vr, len(value), dialect) + value

    def _begin_sequence(self, token: Token) -> None:
        vr = token.vr or ("SQ" if vr_of_tag(token.tag) == "SQ" else "UN")
        outer = self._dialects[-1]
        self._dialects.append(content_dialect(vr, outer) if not outer.implicit else IMPLICIT)
        self._begin(token.tag, vr, token.undefined_length, outer)

    def _begin(self, tag: int, vr: str, undefined: bool, dialect: Dialect | None = None) -> None:
        self._out += header_bytes(tag, vr, UNDEFINED_LENGTH, dialect or self._dialects[-1])
        self._length_at.append(None if undefined else len(self._out) - 4)

    def _end(self, delimiter: int) -> None:
        at = self._length_at.pop()
        dialect = self._dialects[-1]
        if at is None:
            self._out += header_bytes(delimiter, "", 0, dialect)
        else:
            dialect.length.pack_into(self._out, at, len(self._out) - at - 4)

    def vr_for(self, token: Token, length: int) -> str:
        """The VR that an explicit dialect writes for an element token whose value has `length` bytes."""
        vr = token.vr or self._chosen(token.tag)
        if vr in SHORT_VRS:
            return vr if length <= LONGEST_SHORT else "UN"
        return vr if vr in LONG_VRS or (vr.isalpha() and vr.isupper()) else "UN"

    def _chosen(self, tag: int) -> str:
        if tag == 0x7FE00010:
            return "OW" if self._wide_pixels else "OB"
        if vr_of_tag(tag) == "US or SS":
            return "SS" if self._signed[-1] else "US"
        return vr_without_choice(tag)


def vr_without_choice(tag: int) -> str:
    """The dictionary's VR; OW, whose byte order rule is that of the others, where PS3.6 leaves a choice (PS3.5 A.1)."""
    vr = vr_of_tag(tag)
    return "OW" if " or " in vr else vr
