"""Identifiers of C-FIND, C-GET and C-MOVE: data sets to matching keys by keyword, and rows back to data sets."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pynetdicom.dsutils import decode

from mripacs.core.errors import QueryError
from mripacs.core.model import Level
from mripacs.dicom.transfer_syntax import inflate, is_deflated
from mripacs.retrieve.matching import parse_level

MAX_ELEMENTS = 512  # in an identifier; real ones have some dozens
ANSWERED_BY_US = frozenset({"SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability"})
# Of an identifier, or of what a request for commitment refers to: MAX_REFERENCES of them. pydicom makes 15 to 40 bytes
# of each.
MAX_BYTES = 16 << 20


def decode_identifier(encoded: BytesIO | None, syntax: UID) -> Dataset:
    """An identifier from its bytes in the context's transfer syntax. Raises QueryError when it is no data set."""
    size = encoded.getbuffer().nbytes if encoded else 0
    if size > MAX_BYTES:
        raise QueryError(f"the identifier has {size} bytes, {MAX_BYTES} are allowed")
    try:
        if encoded and is_deflated(syntax):  # pydicom would inflate without a bound
            encoded = BytesIO(inflate(encoded.getvalue(), MAX_BYTES))
        identifier: Dataset = decode(encoded or BytesIO(), syntax.is_implicit_VR, syntax.is_little_endian, False)
    except Exception as error:  # pydicom raises whatever its readers meet in hostile bytes
        raise QueryError(f"the identifier is no data set: {type(error).__name__}") from error
    check_decodable(identifier)
    return identifier


def check_decodable(identifier: Dataset) -> None:
    """Decode every value now, so that hostile bytes are met here. Raises QueryError."""
    if len(identifier) > MAX_ELEMENTS:
        raise QueryError(f"the identifier has {len(identifier)} elements, {MAX_ELEMENTS} are allowed")
    try:
        identifier.decode()
    except Exception as error:  # as above, in its value converters
        raise QueryError(f"the identifier has a value that cannot be decoded: {type(error).__name__}") from error


def level_of(identifier: Dataset) -> Level:
    """Query/Retrieve Level (0008,0052). Raises QueryError when it is absent or unknown."""
    return parse_level(str(identifier.get("QueryRetrieveLevel", "") or ""))


def matching_keys(identifier: Dataset) -> dict[str, str]:
    """Keyword to text for every key that has a keyword; sequences match universally (PS3.4 C.2.2.2.6 is optional)."""
    return {
        element.keyword: "" if element.VR == "SQ" else _text(element.value) for element in identifier if element.keyword
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(str(item) for item in value)
    return str(value)


def request_identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    """An identifier to send: the level, and keys by keyword with their text as it is, for the peer to judge.

    Values of a list are joined by a backslash. Raises QueryError for what is no keyword, or no number where one is due.
    """
    request = Dataset()
    for keyword, text in {"QueryRetrieveLevel": level, **keys}.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise QueryError(f"{keyword!r} is not the keyword of a data element")
        request.add(_key(tag, keyword, text))
    return request


def _key(tag: int, keyword: str, text: str) -> DataElement:
    vr = dictionary_VR(tag).partition(" ")[0]  # of "US or SS" the first
    if vr == "SQ":
        return DataElement(tag, vr, [])
    if vr in _BINARY_VRS:
        if text and _numbers(text) is None:
            raise QueryError(f"{keyword}: {text[:64]!r} is no number")
        return DataElement(tag, vr, _numbers(text))
    try:
        return DataElement(tag, vr, text, validation_mode=IGNORE)
    except (ValueError, OverflowError) as error:  # pydicom converts IS and DS
        raise QueryError(f"{keyword}: {text[:64]!r} is no number") from error


def response_identifier(
    request: Dataset, row: Mapping[str, str | int], level: Level, retrieve_ae_title: str
) -> Dataset:
    """A C-FIND response: every requested key with its value or empty, plus what PS3.4 C.4.1.1.3.2 asks for."""
    response = Dataset()
    response.SpecificCharacterSet = "ISO_IR 192"
    for key in request:
        response.add(_answer(key, row))
    response.QueryRetrieveLevel = level.value
    response.RetrieveAETitle = retrieve_ae_title
    response.InstanceAvailability = "ONLINE"
    return response


def _answer(key: DataElement, row: Mapping[str, str | int]) -> DataElement:
    if key.keyword == "SpecificCharacterSet":
        return DataElement(key.tag, "CS", "ISO_IR 192")
    if key.VR == "SQ":
        return DataElement(key.tag, "SQ", [])
    value = row.get(key.keyword, "")
    return DataElement(key.tag, key.VR, _numbers(value) if key.VR in _BINARY_VRS else str(value))


def _numbers(value: str | int) -> int | list[int] | None:
    """US, UL, SS, SL values: one, several, or none."""
    numbers = numbers_of(value)
    return numbers[0] if len(numbers) == 1 else numbers or None


def numbers_of(value: str | int) -> list[int]:
    """The whole numbers of a text that lists them; what is none is left out."""
    return [int(part) for part in str(value).split("\\") if part.strip().lstrip("-").isdigit()]


_BINARY_VRS = frozenset({"US", "UL", "SS", "SL"})
