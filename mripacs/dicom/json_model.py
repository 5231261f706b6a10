"""Data sets as the DICOM JSON model (PS3.18 Annex F), straight from their bytes.

Values are shared between data sets (the elements of a series are mostly the same), so what is returned is read-only.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mripacs.dicom.dictionary import vr_of_tag
from mripacs.dicom.encode import PIXEL_REPRESENTATION, swapped, vr_without_choice
from mripacs.dicom.headers import UNDEFINED_LENGTH, Dialect, read_header
from mripacs.dicom.json_values import values_of
from mripacs.dicom.reencode import tokens_of
from mripacs.dicom.scan import PIXEL_DATA, DatasetMap
from mripacs.dicom.spans import ElementSpan
from mripacs.dicom.text import Encodings, encodings_of
from mripacs.dicom.transfer_syntax import dialect_of
from mripacs.dicom.values import SPECIFIC_CHARACTER_SET, encodings_in, int_value
from mripacs.dicom.walk import Kind, Token

Model = dict[str, Any]  # eight hexadecimal digits -> {"vr": ..., "Value" | "BulkDataURI" | "InlineBinary": ...}
BulkUri = Callable[[str], str]  # path of an element ("00020010", "00540016/1/00181072") -> its URI

BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
INLINE_BYTES = (
    1024  # longer binary values are left out and named by a URI; the CSA headers of Siemens have 10 to 100 KB
)
MEMO_BYTES = 256  # values up to that length are decoded once for all data sets that share them
MEMO_VALUES = 32768  # of them
MEMO_SEQUENCE_BYTES = 2048  # and whole sequences up to that: codes and references, the same in every slice
MEMO_SEQUENCES = 4096
# Sequences in sequences that a model shows; below, they are empty. Real ones have 6. Writers of JSON stop at 254 nested
# values, three for each level, and then the whole study would have no metadata.
MAX_DEPTH = 64
UTF8 = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON and XML are UTF-8, whatever the data set was (PS3.18 F.2.1.2)


def to_json_model(dataset: bytes, dataset_map: DatasetMap, bulk_uri: BulkUri) -> Model:
    """The DICOM JSON model of a data set's top-level elements and all below them, in the order of their tags.

    Group lengths are left out; sequences below MAX_DEPTH are empty. Pixel Data, and binary values over INLINE_BYTES,
    become BulkDataURIs; values that VR and JSON cannot hold become text. Raises RefusedError for sequences that
    cannot be understood.
    """
    signed = int_value(dataset, dataset_map, PIXEL_REPRESENTATION) == 1
    reader = _Reader(dataset, dataset_map, bulk_uri, encodings_in(dataset, dataset_map), signed)
    spans = sorted(dataset_map.elements.values())
    keyed = ((f"{span.tag:08X}", span) for span in spans if span.tag & 0xFFFF)
    return {key: reader.element(span, key) for key, span in keyed}


def effective_vr(tag: int, vr: str | None, *, signed: bool) -> str:
    """The VR as written, else PS3.6's; "US or SS" by Pixel Representation (PS3.5 A.1)."""
    if vr:
        return vr
    found = vr_of_tag(tag)
    if found == "US or SS":
        return "SS" if signed else "US"
    return vr_without_choice(tag)


@dataclass(slots=True)
class _Level:
    """A sequence, or an item of one, that is being read."""

    path: str
    encodings: Encodings
    signed: bool
    elements: Model = field(default_factory=dict)  # of an item
    items: list[Model] = field(default_factory=list)  # of a sequence
    opaque: bool = False  # fragments: given as bulk data


@dataclass(frozen=True, slots=True)
class _Reader:
    dataset: bytes
    map: DatasetMap
    bulk_uri: BulkUri
    encodings: Encodings
    signed: bool

    def element(self, span: ElementSpan, key: str) -> Model:
        """One top-level element; `key` is its tag as the model writes it."""
        tag, vr = span.tag, span.vr or effective_vr(span.tag, None, signed=self.signed)
        if span.undefined_length or vr == "SQ" or tag == PIXEL_DATA:
            return self._structured(span, vr, key)
        if tag == SPECIFIC_CHARACTER_SET:
            return UTF8
        value = self.dataset[span.value_start : span.value_end]
        return self._leaf(vr, value, key, self.encodings, self.map.dialect)

    def _structured(self, span: ElementSpan, vr: str, key: str) -> Model:
        if span.tag == PIXEL_DATA:
            return {"vr": vr, "BulkDataURI": self.bulk_uri(key)}
        if span.end - span.header_start > MEMO_SEQUENCE_BYTES:
            return self._sequence(span)
        written = self.dataset[span.header_start : span.end]
        found = _shared_sequence(written, self.map.transfer_syntax, self.encodings, self.signed)
        return self._sequence(span) if found is None else found

    def _leaf(self, vr: str, value: bytes, path: str, encodings: Encodings, dialect: Dialect) -> Model:
        if len(value) <= MEMO_BYTES:
            return _shared(vr, value, encodings, dialect.big_endian)
        if vr in BINARY_VRS and len(value) > INLINE_BYTES:
            return {"vr": vr, "BulkDataURI": self.bulk_uri(path)}
        return _decoded(vr, value, encodings, dialect.big_endian)

    def _sequence(self, span: ElementSpan) -> Model:
        stack = [_Level("", self.encodings, self.signed)]
        for token, value in tokens_of(self.dataset, self.map, span):
            _STEPS[token.kind](self, stack, token, value)
        (found,) = stack[0].elements.values()
        return dict(found)

    def _begin_sequence(self, stack: list[_Level], token: Token, _: bytes) -> None:
        top = stack[-1]
        too_deep = len(stack) > 2 * MAX_DEPTH  # each has its level and its item's
        opened = _Level("" if too_deep else f"{top.path}{token.tag:08X}", top.encodings, top.signed)
        top.elements[f"{token.tag:08X}"] = {"vr": "SQ"} if too_deep else {"vr": "SQ", "Value": opened.items}
        stack.append(opened)

    def _end_sequence(self, stack: list[_Level], token: Token, _: bytes) -> None:
        closed = stack.pop()
        key = f"{token.tag:08X}"
        if closed.opaque:
            vr = effective_vr(token.tag, token.vr, signed=closed.signed)
            stack[-1].elements[key] = {"vr": vr, "BulkDataURI": self.bulk_uri(closed.path)}
        elif not closed.items:
            stack[-1].elements[key] = {"vr": "SQ"}

    def _begin_item(self, stack: list[_Level], _: Token, __: bytes) -> None:
        top = stack[-1]
        opened = _Level(f"{top.path}/{len(top.items) + 1}/", top.encodings, top.signed)
        top.items.append(opened.elements)
        stack.append(opened)

    def _end_item(self, stack: list[_Level], _: Token, __: bytes) -> None:
        stack.pop()

    def _fragment(self, stack: list[_Level], _: Token, __: bytes) -> None:
        stack[-1].opaque = True

    def _nested(self, stack: list[_Level], token: Token, value: bytes) -> None:
        top = stack[-1]
        if token.tag & 0xFFFF == 0:
            return
        if token.tag == SPECIFIC_CHARACTER_SET:
            top.encodings = encodings_of(value[:MEMO_BYTES])
            top.elements["00080005"] = UTF8
            return
        if token.tag == PIXEL_REPRESENTATION:
            top.signed = any(value)
        vr = effective_vr(token.tag, token.vr, signed=top.signed)
        path = f"{top.path}{token.tag:08X}"
        top.elements[f"{token.tag:08X}"] = self._leaf(vr, value, path, top.encodings, token.dialect)


_STEPS: dict[Kind, Callable[[_Reader, list[_Level], Token, bytes], None]] = {
    Kind.ELEMENT: _Reader._nested,
    Kind.SEQUENCE: _Reader._begin_sequence,
    Kind.SEQUENCE_END: _Reader._end_sequence,
    Kind.ITEM: _Reader._begin_item,
    Kind.ITEM_END: _Reader._end_item,
    Kind.FRAGMENT: _Reader._fragment,
}


def _decoded(vr: str, value: bytes, encodings: Encodings, big_endian: bool) -> Model:
    if vr in BINARY_VRS:
        little = swapped(value, vr) if big_endian and vr != "UN" else value
        return {"vr": vr, "InlineBinary": b64encode(little).decode()} if value else {"vr": vr}
    values = values_of(vr, value, encodings, big_endian)
    return {"vr": vr, "Value": values} if values else {"vr": vr}


_shared = lru_cache(MEMO_VALUES)(_decoded)


@lru_cache(MEMO_SEQUENCES)
def _shared_sequence(written: bytes, transfer_syntax: str, encodings: Encodings, signed: bool) -> Model | None:
    """A sequence's model, from its element's bytes alone; None where it needs URIs, which are each instance's own."""
    dataset_map = _map_of_one(written, transfer_syntax)
    (span,) = dataset_map.elements.values()
    named: list[str] = []

    def name(path: str) -> str:
        named.append(path)
        return path

    reader = _Reader(written, dataset_map, name, encodings, signed)
    model = reader._sequence(span)
    return None if named else model


def _map_of_one(written: bytes, transfer_syntax: str) -> DatasetMap:
    """The map of a single element."""
    dialect = dialect_of(transfer_syntax)
    tag, vr, length, start = read_header(written, 0, len(written), dialect)
    undefined = length == UNDEFINED_LENGTH
    span = ElementSpan(tag, vr, start, len(written), undefined, 0, len(written))
    return DatasetMap(transfer_syntax, {tag: span}, None, len(written), 0)
