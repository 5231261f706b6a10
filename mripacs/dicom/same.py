"""Whether two data sets are one object in two encodings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mripacs.core.errors import PixelDataError, RefusedError
from mripacs.dicom.dictionary import vr_of_tag
from mripacs.dicom.encode import swapped, vr_without_choice
from mripacs.dicom.headers import IMPLICIT
from mripacs.dicom.pixels import decode_frames, describe
from mripacs.dicom.reencode import tokens_of
from mripacs.dicom.scan import PIXEL_DATA, DatasetMap, scan
from mripacs.dicom.transcode import (
    EXTENDED_OFFSET_TAGS,
    MAX_INFLATED_BYTES,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
)
from mripacs.dicom.transfer_syntax import dialect_of, plain
from mripacs.dicom.walk import Kind, Token, walk

TRAILING_PADDING = 0xFFFCFFFC
_TEXT_VRS = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)
_OPAQUE_VRS = (None, "UN", "OB")  # what a sequence can look like to a peer that does not know the private element
_ITEM_START = b"\xfe\xff\x00\xe0"
MAX_HIDDEN = 8  # sequences hidden in each other; each costs a call and a copy. Deeper ones are compared as bytes

Canonical = list[tuple[object, ...]]


def same_object(dataset_a: bytes, syntax_a: str, dataset_b: bytes, syntax_b: str) -> bool:
    """Whether two data sets, as they go over the wire, are equal whatever their encoding.

    Not counted: explicit or implicit VR, byte order, deflation, the form of lengths, group lengths, order of top-level
    elements, padding of values and behind the data set, and the compression of the pixels, which are compared decoded.
    A data set that cannot be understood is the same only byte for byte. Never raises.
    """
    if dataset_a == dataset_b and syntax_a == syntax_b:
        return True
    try:
        a, b = _Read(dataset_a, syntax_a), _Read(dataset_b, syntax_b)
        ignored = _ignored(a.map, b.map)
        return _canonical(a, ignored) == _canonical(b, ignored) and _same_pixels(a, b)
    except RefusedError:
        return False


class _Read:
    """A data set without deflation, and its map."""

    def __init__(self, dataset: bytes, syntax: str) -> None:
        self.dataset = plain(dataset, syntax, MAX_INFLATED_BYTES)
        self.map = scan(self.dataset, syntax)


def _ignored(a: DatasetMap, b: DatasetMap) -> frozenset[int]:
    """Elements that belong to an encoding; colour is described anew when its compression is undone."""
    recoded = bool(a.pixel and b.pixel and a.pixel.encapsulated != b.pixel.encapsulated)
    colour = (PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION) if recoded else ()
    return frozenset((PIXEL_DATA, TRAILING_PADDING, *EXTENDED_OFFSET_TAGS, *colour))


def _canonical(read: _Read, ignored: frozenset[int]) -> Canonical:
    """Every element but the ignored ones as tags and values, in ascending order of the top-level tags."""
    found: Canonical = []
    for tag in sorted(read.map.elements):
        if tag not in ignored:
            for token, value in tokens_of(read.dataset, read.map, read.map.elements[tag]):
                found.extend(_entries(token, value))
    return found


def _entries(token: Token, value: bytes, hidden: int = 0) -> Iterator[tuple[object, ...]]:
    if token.kind is not Kind.ELEMENT:
        yield token.kind, token.tag, value
    elif token.tag & 0xFFFF:
        yield from _hidden_sequence(token, value, hidden) or [(token.kind, token.tag, _comparable(token, value))]


def _hidden_sequence(token: Token, value: bytes, hidden: int) -> Canonical:
    """The entries of a sequence that its writer did not know as one (PS3.5 6.2.2: implicit little endian inside UN).

    hidden : how many such sequences it is in.
    """
    if hidden == MAX_HIDDEN or token.vr not in _OPAQUE_VRS or not value.startswith(_ITEM_START):
        return []
    try:
        inner = [
            entry
            for each in walk(value, 0, len(value), IMPLICIT, in_sequence=True)
            for entry in _entries(each, value[each.start : each.end] if each.kind is Kind.ELEMENT else b"", hidden + 1)
        ]
    except RefusedError:
        return []
    return [(Kind.SEQUENCE, token.tag, b""), *inner, (Kind.SEQUENCE_END, token.tag, b"")]


def _comparable(token: Token, value: bytes) -> bytes:
    """The value in little endian without padding; of private values, whose VR a peer may not know, without spaces."""
    vr = token.vr or vr_without_choice(token.tag)
    if token.dialect.big_endian and token.vr != "UN":
        value = swapped(value, vr)
    if vr_of_tag(token.tag) in _TEXT_VRS:
        return value.rstrip(b" \0")
    stripped = value.rstrip(b" ")  # of values of one length, this makes no two equal that differ
    return stripped + b"\0" * (len(stripped) % 2)


def _same_pixels(a: _Read, b: _Read) -> bool:
    if a.map.pixel is None or b.map.pixel is None:
        return a.map.pixel is b.map.pixel
    if a.map.pixel.encapsulated == b.map.pixel.encapsulated and _pixel_value(a) == _pixel_value(b):
        return True
    try:
        return _same_frames(a, b)
    except PixelDataError:
        return False


def _pixel_value(read: _Read) -> bytes:
    """The raw value, native words in little endian."""
    pixel = read.map.pixel
    value = read.dataset[pixel.start : pixel.end] if pixel else b""
    if pixel and not pixel.encapsulated and dialect_of(read.map.transfer_syntax).big_endian:
        return swapped(value, pixel.vr)
    return value


def _same_frames(a: _Read, b: _Read) -> bool:
    """Equal decoded frames; what native values hold behind their frames is padding here."""
    frames = []
    for read in (a, b):
        description = describe(read.dataset, read.map, read.map.transfer_syntax)
        frames.append(decode_frames(read.dataset, read.map, read.map.transfer_syntax, description))
    return frames[0].dtype == frames[1].dtype and np.array_equal(frames[0], frames[1])
