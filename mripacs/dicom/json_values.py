"""Values of single elements as JSON (PS3.18 Table F.2.3-1), from bytes and from the index's text."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from mripacs.dicom.dictionary import tag_of, vr_of
from mripacs.dicom.text import DEFAULT_ENCODINGS, Encodings, decode_text

Value = Any  # str, int, float, a person name's groups, or None for an empty one of several

_SINGLE_TEXT = frozenset({"LT", "ST", "UT", "UR"})  # the backslash is a character (PS3.5 6.2)
_CHARACTER_SET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # PS3.5 6.1.2.3
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_EXACT = 2**53  # integers up to here survive a reader that has only doubles; longer ones travel as text


def values_of(vr: str, value: bytes, encodings: Encodings, big_endian: bool) -> list[Value]:
    """The values of an element that is neither binary nor a sequence; empty for an empty element."""
    if vr in _NUMBERS:
        return _binary_numbers(vr, value, big_endian)
    if vr == "AT":
        words = _unpacked("H", value[: len(value) // 4 * 4], big_endian)
        return [f"{group:04X}{element:04X}" for group, element in zip(words[::2], words[1::2], strict=True)]
    text = decode_text(value, encodings if vr in _CHARACTER_SET_VRS else DEFAULT_ENCODINGS)
    return text_values(vr, text)


def text_values(vr: str, text: str) -> list[Value]:
    """The values of text as a data set writes it, several joined by backslashes."""
    text = text.replace("\0", "").rstrip(" ") if vr != "UI" else text.strip("\0 ")
    if not text:
        return []
    if vr in _SINGLE_TEXT:
        return [text]
    parse = _PARSERS.get(vr, _plain)
    return [parse(part.strip(" \0")) for part in text.split("\\")]


def element_of(keyword: str, value: str | int) -> tuple[str, dict[str, Any]]:
    """Tag and JSON element of an attribute of the index: its keyword, and text or number as the index keeps it."""
    vr = vr_of(keyword).partition(" ")[0]  # of "US or SS" the first
    if vr in _NUMBERS:
        values: list[Value] = [int(part) for part in str(value).split("\\") if part.lstrip("-").isdigit()]
    else:
        values = text_values(vr, str(value))
    return f"{tag_of(keyword):08X}", {"vr": vr, "Value": values} if values else {"vr": vr}


def _binary_numbers(vr: str, value: bytes, big_endian: bool) -> list[Value]:
    width = struct.calcsize(_NUMBERS[vr])
    numbers = _unpacked(_NUMBERS[vr], value[: len(value) // width * width], big_endian)
    return [_in_json(number) for number in numbers]


def _unpacked(code: str, value: bytes, big_endian: bool) -> tuple[Any, ...]:
    count = len(value) // struct.calcsize(code)
    return struct.unpack(f"{'>' if big_endian else '<'}{count}{code}", value)


def _in_json(number: float) -> Value:
    """JSON has no NaN and no infinity, and readers of JSON no integers beyond 2^53."""
    if isinstance(number, int):
        return number if -_EXACT <= number <= _EXACT else str(number)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("inf" if number > 0 else "-inf")


def _plain(text: str) -> Value:
    return text or None


def _integer(text: str) -> Value:
    try:
        return _in_json(int(text))
    except ValueError:
        return text or None


def _decimal(text: str) -> Value:
    """A DS as a number; one that is none, or not finite, stays text."""
    try:
        number = float(text)
    except ValueError:
        return text or None
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and "." not in text and abs(number) <= _EXACT else number


def _name(text: str) -> Value:
    groups = zip(_NAME_GROUPS, text.split("="), strict=False)
    return {name: group.strip() for name, group in groups if group.strip()} or None


_PARSERS: Mapping[str, Callable[[str], Value]] = {"IS": _integer, "DS": _decimal, "PN": _name}
