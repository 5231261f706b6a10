"""DIMSE-C messages as they come: command sets as bytes become pynetdicom's primitives, one step instead of three.

pynetdicom makes a message with an empty data set (0.1 ms of processor time), a data set of the command set, and checks
each UID by three expressions: 0.2 ms a message, here 0.02. Plain are command sets of the kinds in `FORMS` in one
fragment, their elements in order, the UIDs valid; everything else is pynetdicom's, by `DIMSEMessage`.
`tests/dimse/test_arriving.py` compares the two.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

from pydicom.config import IGNORE
from pydicom.uid import UID

from mripacs.dimse.messages import COMMAND_FIELD, DATASET_TYPE, FORMS, NO_DATASET

_HEADER = struct.Struct("<HHL")
_US = struct.Struct("<H")
_GROUP_LENGTH = bytes(4) + b"\4\0\0\0"  # tag and length of the element that a command set begins with (PS3.7 6.3.1)
_BEGIN = 12
_UID = re.compile(rb"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))*")  # PS3.5 9.1
LONGEST_UID = 64
PRIORITIES = frozenset({0, 1, 2})  # PS3.7 9.1.1.1.6

# Where a primitive keeps a value that needs no check beyond those made here; others go by its own setter.
_KEPT = {
    "MessageID": "_message_id",
    "MessageIDBeingRespondedTo": "_message_id_being_responded_to",
    "AffectedSOPClassUID": "_affected_sop_class_uid",
    "AffectedSOPInstanceUID": "_affected_sop_instance_uid",
    "Status": "_status",
}


class Kind(NamedTuple):
    """A kind of message: its primitive's class, what its elements are by number, and where its data set goes."""

    primitive: type
    elements: Mapping[int, tuple[str, str]]  # keyword, VR
    dataset: str | None


_KINDS: Mapping[int, Kind] = {
    form.command_field: Kind(kind, {number: (word, vr) for number, word, vr in form.elements}, form.dataset)
    for (kind, _), form in FORMS.items()
}


class Arriving(NamedTuple):
    """A message whose command set is here."""

    primitive: Any
    dataset: str | None  # the attribute that its data set goes to; None: its kind has none
    has_dataset: bool

    def whole(self, dataset: BytesIO) -> Any:
        """The primitive with its data set, which is empty where there is none, as pynetdicom leaves it."""
        if self.dataset is not None:
            setattr(self.primitive, self.dataset, dataset)
        return self.primitive


def read_command(content: bytes) -> Arriving | None:
    """The message that a command set begins; None for what is left to pynetdicom."""
    values = _values(content)
    kind = _KINDS.get(_number(values.pop(COMMAND_FIELD, b"")))
    dataset_type = _number(values.pop(DATASET_TYPE, b""))
    if kind is None or dataset_type < 0 or not values.keys() <= kind.elements.keys():
        return None
    has_dataset = dataset_type != NO_DATASET
    if has_dataset and kind.dataset is None:
        return None
    primitive = kind.primitive()
    try:
        for number, value in values.items():
            _set(primitive, *kind.elements[number], value)
    except (ValueError, TypeError):
        return None
    return Arriving(primitive, kind.dataset, has_dataset)


def _values(content: bytes) -> dict[int, bytes]:
    """Values by element number; none where the elements are not as they should be."""
    if content[:8] != _GROUP_LENGTH or content[8:12] != (len(content) - _BEGIN).to_bytes(4, "little"):
        return {}
    values: dict[int, bytes] = {}
    position, before = _BEGIN, 0
    while position + _HEADER.size <= len(content):
        group, number, length = _HEADER.unpack_from(content, position)
        start, position = position + _HEADER.size, position + _HEADER.size + length
        if group or number <= before or not length:
            return {}
        values[number], before = content[start:position], number
    return values if position == len(content) else {}


def _set(primitive: Any, keyword: str, vr: str, content: bytes) -> None:
    """Set a value. Raises ValueError or TypeError for one that is not plain."""
    value: Any
    if vr == "US":
        value = _number(content)
        if value < 0 or (keyword == "Priority" and value not in PRIORITIES):
            raise ValueError(keyword)
    elif vr == "UI":
        value = _known_uid(content) if keyword == "AffectedSOPClassUID" else _uid(content)
    elif vr == "AE" and content.isascii() and b"\\" not in content:
        value = content.decode("ascii").strip(" ")
    else:
        raise ValueError(keyword)
    setattr(primitive, _KEPT.get(keyword, keyword), value)


def _number(content: bytes) -> int:
    """A US value; -1 for another length."""
    return int(_US.unpack(content)[0]) if len(content) == _US.size else -1


def _uid(content: bytes) -> UID:
    stripped = content[:-1] if content[-1] == 0 else content
    if len(stripped) > LONGEST_UID or not _UID.fullmatch(stripped):
        raise ValueError("no UID")
    return UID(stripped.decode("ascii"), IGNORE)


_known_uid = lru_cache(256)(_uid)  # SOP classes
