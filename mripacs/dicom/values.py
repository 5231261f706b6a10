"""Values of single top-level elements, read out of a map: text and integers. Never raises for a malformed value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mripacs.dicom.dictionary import vr_of_tag
from mripacs.dicom.headers import Buffer
from mripacs.dicom.scan import DatasetMap
from mripacs.dicom.spans import ElementSpan
from mripacs.dicom.text import DEFAULT_ENCODINGS, Encodings, clean, decode_text, encodings_of

SPECIFIC_CHARACTER_SET = 0x00080005
LONGEST_VALUE = 1024  # characters; PS3.5 6.2 ends LO at 64, PN at 5 x 64 and index columns hold no more

_CHARACTER_SET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # PS3.5 6.1.2.3
_INTEGER = re.compile(r"[+-]?\d{1,12}")  # IS has 12 characters (PS3.5 6.2)
_LONGEST_KNOWN = 64  # bytes of a value that is kept: a UID
_LONGEST_READ = 16 * LONGEST_VALUE  # bytes looked at: four a character, and escape sequences


def raw_value(dataset: Buffer, dataset_map: DatasetMap, tag: int) -> bytes | None:
    """The bytes of a top-level element's value; None when it is absent."""
    span = dataset_map.elements.get(tag)
    return None if span is None else bytes(dataset[span.value_start : span.value_end])


def encodings_in(dataset: Buffer, dataset_map: DatasetMap) -> Encodings:
    """The character encodings of the data set's text."""
    declared = raw_value(dataset, dataset_map, SPECIFIC_CHARACTER_SET)
    return encodings_of(declared[:_LONGEST_READ]) if declared else DEFAULT_ENCODINGS


def text_value(dataset: Buffer, dataset_map: DatasetMap, tag: int, encodings: Encodings = DEFAULT_ENCODINGS) -> str:
    """The element's text, each value stripped, joined by backslashes, cut at LONGEST_VALUE; "" when absent."""
    span = dataset_map.elements.get(tag)
    return "" if span is None else span_text(dataset, span, encodings)


def span_text(dataset: Buffer, span: ElementSpan, encodings: Encodings = DEFAULT_ENCODINGS) -> str:
    """The text of one element, as `text_value` gives it. Elements without a textual VR are read as Latin-1."""
    end = min(span.value_end, span.value_start + _LONGEST_READ)
    value = bytes(dataset[span.value_start : end])
    chosen = encodings if vr_of_tag(span.tag) in _CHARACTER_SET_VRS else DEFAULT_ENCODINGS
    return _known_text(value, chosen) if len(value) <= _LONGEST_KNOWN else _text(value, chosen)


def _text(value: bytes, encodings: Encodings) -> str:
    text = decode_text(value.rstrip(b"\0 "), encodings)
    return clean("\\".join(part.strip(" \0") for part in text.split("\\")))[:LONGEST_VALUE]


# Most values of an instance are those of the one before: 0.2 us in the place of 1.6. At most half a megabyte.
_known_text = lru_cache(4096)(_text)


def int_value(dataset: Buffer, dataset_map: DatasetMap, tag: int) -> int | None:
    """The first value of a US or IS element; None when it is absent, empty or malformed."""
    span = dataset_map.elements.get(tag)
    return None if span is None else span_int(dataset, dataset_map, span)


def span_int(dataset: Buffer, dataset_map: DatasetMap, span: ElementSpan) -> int | None:
    """The first value of one element, US by its byte order or IS by its digits."""
    if vr_of_tag(span.tag) != "US":
        digits = span_text(dataset, span).split("\\")[0]
        return int(digits) if _INTEGER.fullmatch(digits) else None
    if span.value_end - span.value_start < 2:
        return None
    order = "big" if dataset_map.dialect.big_endian else "little"
    return int.from_bytes(dataset[span.value_start : span.value_start + 2], order)  # type: ignore[arg-type]


def upper_values(texts: Iterable[str]) -> tuple[str, ...]:
    """The single values of several texts, upper case, empty ones left out."""
    return tuple(value.strip().upper() for text in texts for value in text.split("\\") if value.strip())
