"""The keys of an identifier as C-FIND, C-GET and C-MOVE ask for them, mostly without a pydicom data set.

pydicom made the identifier of a C-FIND of series a data set and each value an object: 0.35 ms of processor time of the
2.4 that the request took with its association; here it takes 0.012. Plain is what viewers send: Implicit or Explicit VR
Little Endian, known elements in order with the VR of the dictionary, printable ASCII of one value. Everything else is
pydicom's to read; `tests/dimse/test_request_keys.py` compares the two.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from mripacs.core.model import Level
from mripacs.dimse import identifiers
from mripacs.retrieve.matching import parse_level

Shape = tuple[tuple[int, str], ...]  # tag and VR of each element

# Of an identifier read here: 512 elements at most, as everywhere; pydicom takes a length above 16 K for an explicit VR.
MAX_PLAIN_BYTES = 4096
LOWEST_GROUP = 0x0008  # below are command sets and file meta information
_IMPLICIT, _EXPLICIT, _LONG_LENGTH = struct.Struct("<HHL"), struct.Struct("<HH2sH"), struct.Struct("<L")
_TEXTS = frozenset({"AE", "CS", "DA", "DT", "LO", "PN", "SH", "TM", "UI"})  # with values; any other VR without
_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})  # PS3.5 7.1.2
_CHARACTER_SET = 0x00080005
_SPECIAL = frozenset("\\=\x7f")  # between values, between groups of a name, and DEL
_KEPT = "_mripacs_keys"  # attribute of an event: its handler and the audit trail both read it


@dataclass(frozen=True, slots=True)
class RequestKeys:
    """What an identifier asks for."""

    texts: dict[str, str]  # as `identifiers.matching_keys` gives them
    shape: Shape
    dataset: Callable[[], Dataset]  # the identifier itself; raises QueryError as reading it does

    @classmethod
    def of(cls, identifier: Dataset) -> RequestKeys:
        """The keys of an identifier that is a data set."""
        shape = tuple((int(element.tag), element.VR) for element in identifier)
        return cls(identifiers.matching_keys(identifier), shape, lambda: identifier)

    @property
    def level(self) -> Level:
        """Query/Retrieve Level (0008,0052). Raises QueryError when it is absent or unknown."""
        return parse_level(self.texts.get("QueryRetrieveLevel", ""))


def read_keys(event: evt.Event) -> RequestKeys:
    """The keys of a request, read once for all that ask. Raises QueryError when its identifier is no data set."""
    kept = vars(event)
    if _KEPT not in kept:
        kept[_KEPT] = decode_keys(event.request.Identifier, event.context.transfer_syntax)
    keys: RequestKeys = kept[_KEPT]
    return keys


def decode_keys(encoded: BytesIO | None, syntax: UID) -> RequestKeys:
    """The keys of an identifier in the context's transfer syntax. Raises QueryError when it is no data set."""
    plain = decode_plain(encoded.getvalue(), syntax) if encoded else None
    if plain is None:
        return RequestKeys.of(identifiers.decode_identifier(encoded, syntax))
    texts, shape = plain
    return RequestKeys(texts, shape, partial(identifiers.decode_identifier, encoded, syntax))


def decode_plain(content: bytes, syntax: str) -> tuple[dict[str, str], Shape] | None:
    """Texts by keyword, and the shape; None for what is left to pydicom."""
    if syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian) or len(content) > MAX_PLAIN_BYTES:
        return None
    head = _implicit if syntax == ImplicitVRLittleEndian else _explicit
    texts: dict[str, str] = {}
    shape: list[tuple[int, str]] = []
    position, before = 0, 0
    try:
        while position < len(content):
            tag, keyword, vr, start, length = head(content, position)
            text = _text(content[start : start + length], tag, vr)
            position = start + length
            if text is None or tag <= before or position > len(content):
                return None
            texts[keyword], before = text, tag
            shape.append((tag, vr))
    except (struct.error, KeyError):
        return None
    return texts, tuple(shape)


def _implicit(content: bytes, position: int) -> tuple[int, str, str, int, int]:
    """Tag, keyword, VR, begin and length of the element at a position."""
    group, element, length = _IMPLICIT.unpack_from(content, position)
    tag = group << 16 | element
    keyword, vr = _known(tag)
    return tag, keyword, vr, position + 8, length


def _explicit(content: bytes, position: int) -> tuple[int, str, str, int, int]:
    group, element, written, length = _EXPLICIT.unpack_from(content, position)
    tag = group << 16 | element
    keyword, vr = _known(tag)
    if written != vr.encode("ascii"):
        raise KeyError(tag)
    if vr not in _LONG:
        return tag, keyword, vr, position + 8, length
    return tag, keyword, vr, position + 12, _LONG_LENGTH.unpack_from(content, position + 8)[0]


@lru_cache(1024)
def _known(tag: int) -> tuple[str, str]:
    """Keyword and VR of an element. Raises KeyError for what is private, unknown, of two VRs, or a group's length."""
    if tag >> 16 < LOWEST_GROUP or not tag & 0xFFFF or tag >> 16 & 1 or not dictionary_has_tag(tag):
        raise KeyError(tag)
    keyword, vr = dictionary_keyword(tag), dictionary_VR(tag)
    if not keyword or len(vr) != 2:
        raise KeyError(tag)
    return keyword, vr


def _text(content: bytes, tag: int, vr: str) -> str | None:
    """A value as its text; None for one that is not plain."""
    if not content:
        return ""
    if vr not in _TEXTS or tag == _CHARACTER_SET or not content.isascii():
        return None
    text = content.decode("ascii")
    text = text.rstrip("\0 " if vr == "UI" else " ")
    text = text.lstrip(" ") if vr == "AE" else text
    return text if text.isprintable() and _SPECIAL.isdisjoint(text) else None
