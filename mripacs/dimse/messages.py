"""DIMSE messages between bytes and pynetdicom's primitives without a pydicom data set for each command set.

pynetdicom makes every command set a Dataset, encodes it twice and has it described for a log that nobody reads: of the
processor time of a C-GET, instances at hand, that was four fifths, of a C-STORE's answer a fifth. The seams are
`DIMSEServiceProvider.send_msg` and the name `decode` in `dimse_messages`; `tests/dimse/test_messages.py` compares
with pynetdicom's own bytes and values, and says when its own way has become as fast. What is not in the tables here,
and everything while pynetdicom's log is wanted or somebody listens to EVT_DIMSE_SENT, goes pynetdicom's way.

Over an upper layer of ours (`upper_layer`) a message leaves in one system call, its data set uncopied.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import UID
from pynetdicom import dimse_messages, evt
from pynetdicom._handlers import standard_dimse_sent_handler
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE
from pynetdicom.pdu_primitives import P_DATA

from mripacs.dimse.upper_layer import DirectUpperLayer

PENDING = 0xFF00
COMMAND_FIELD, DATASET_TYPE = 0x0100, 0x0800
NO_DATASET, WITH_DATASET = 0x0101, 0x0001
LAST_OF_COMMAND, LAST_OF_DATASET, MORE_OF_DATASET = b"\x03", b"\x02", b"\x00"  # PS3.8 E.2
PDV_HEADER_BYTES = 6
C_CANCEL_RQ = 0x0FFF
_HEADER = struct.Struct("<HHL")
_PDV = struct.Struct(
    ">BxLLBB"
)  # P-DATA-TF with one value: PDU type and length, value's length, context, control header
_P_DATA_TF = 4
_SENDS = (C_STORE, C_FIND, C_GET, C_MOVE, C_ECHO)
_log = logging.getLogger("pynetdicom")

_plain_send_msg = DIMSEServiceProvider.send_msg
_plain_decode = dimse_messages.decode


class Form(NamedTuple):
    """How a kind of message is written: its command field, its elements, and the primitive's data set."""

    command_field: int
    elements: tuple[tuple[int, str, str], ...]  # number, keyword, VR; ascending, but for the two that are computed
    dataset: str | None


class CommandElement(NamedTuple):
    """What `message_to_primitive` asks of an element of a command set."""

    tag: int
    keyword: str
    value: Any
    VM: int = 1  # as pydicom calls it


def _elements_of(name: str) -> tuple[tuple[int, str, str], ...]:
    numbered = ((int(tag_for_keyword(word) or 0), word) for word in dimse_messages._COMMAND_SET_KEYWORDS[name])
    computed = (0, COMMAND_FIELD, DATASET_TYPE)
    return tuple((number, word, dictionary_VR(number)) for number, word in sorted(numbered) if number not in computed)


def _form(name: str) -> Form:
    fields = {kind[0]: number for number, kind in dimse_messages._MESSAGE_TYPES.items()}
    return Form(fields[name], _elements_of(name), dimse_messages._DATASET_KEYWORDS.get(name.replace("-", "_")))


FORMS: Mapping[tuple[type, bool], Form] = {
    (kind, answers): _form(f"{kind.__name__.replace('_', '-')}-{'RSP' if answers else 'RQ'}")
    for kind in _SENDS
    for answers in (False, True)
}
_LIGHT = frozenset(form.command_field for form in FORMS.values()) | {C_CANCEL_RQ}  # all of DIMSE-C
_KNOWN = {number: (word, vr) for form in FORMS.values() for number, word, vr in form.elements}
_KNOWN |= {0: ("CommandGroupLength", "UL"), COMMAND_FIELD: ("CommandField", "US")}
_KNOWN |= {DATASET_TYPE: ("CommandDataSetType", "US")}


class CommandSet:
    """A received command set: the values by keyword, and the elements one by one."""

    def __init__(self, elements: list[CommandElement]) -> None:
        self._elements = elements
        self.__dict__.update((element.keyword, element.value) for element in elements)

    def __iter__(self) -> Iterator[CommandElement]:
        return iter(self._elements)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.__dict__


def encode_command(primitive: Any, form: Form, *, with_dataset: bool) -> bytes | None:
    """The command set of a primitive (PS3.7 6.3.1); None for one with a value that is not written here."""
    kind = WITH_DATASET if with_dataset else NO_DATASET
    values = [(COMMAND_FIELD, struct.pack("<H", form.command_field)), (DATASET_TYPE, struct.pack("<H", kind))]
    for number, keyword, vr in form.elements:
        value = getattr(primitive, keyword, None)
        if value is None:
            continue
        encoded = _encoded(value, vr)
        if encoded is None:
            return None
        values.append((number, encoded))
    body = b"".join(_HEADER.pack(0, number, len(value)) + value for number, value in sorted(values))
    return _HEADER.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def decode_command(content: bytes) -> CommandSet | None:
    """The command set of a DIMSE-C message; None for others, and for what is not as it should be."""
    elements: list[CommandElement] = []
    position, size = 0, len(content)
    while position + _HEADER.size <= size:
        group, number, length = _HEADER.unpack_from(content, position)
        start, position = position + _HEADER.size, position + _HEADER.size + length
        known = _KNOWN.get(number) if group == 0 else None
        value = _decoded(content[start:position], known[1]) if known and position <= size else None
        if known is None or value is None:
            return None
        elements.append(CommandElement(number, known[0], value))
    fields = [element.value for element in elements if element.tag == COMMAND_FIELD]
    numbers = [element.tag for element in elements]
    in_order = position == size and numbers == sorted(set(numbers)) and DATASET_TYPE in numbers
    return CommandSet(elements) if in_order and len(fields) == 1 and fields[0] in _LIGHT else None


def install() -> None:
    """Put both functions in place; calling it again changes nothing."""
    DIMSEServiceProvider.send_msg = _send_msg
    dimse_messages.decode = _decode


def _send_msg(self: DIMSEServiceProvider, primitive: Any, context_id: int) -> None:
    form = FORMS.get((type(primitive), primitive.MessageIDBeingRespondedTo is not None))
    if form is None or is_watched(self.assoc) or getattr(primitive, "_dataset_path", None):
        _plain_send_msg(self, primitive, context_id)
        return
    dataset = getattr(primitive, form.dataset) if form.dataset else None
    command = encode_command(primitive, form, with_dataset=dataset is not None)
    size = self.maximum_pdu_size - PDV_HEADER_BYTES
    if command is None or (self.maximum_pdu_size > 0 and size < len(command)):
        _plain_send_msg(self, primitive, context_id)
        return
    if isinstance(self.dul, DirectUpperLayer) and self.dul.is_unwatched():
        content = dataset.getvalue() if dataset else b""  # shared, not copied, unlike getbuffer
        later = isinstance(primitive, C_GET) and primitive.Status == PENDING  # a C-STORE or the end follows at once
        self.dul.write(pdus(context_id, command, content, self.maximum_pdu_size), later=later)
        return
    for fragment in (LAST_OF_COMMAND + command, *_fragments(dataset.getvalue() if dataset else b"", size)):
        data = P_DATA()
        data.presentation_data_value_list.append((context_id, fragment))
        self.dul.send_pdu(data)


def pdus(context_id: int, command: bytes, dataset: bytes | memoryview, max_pdu_bytes: int) -> list[bytes | memoryview]:
    """The P-DATA-TF PDUs of a message, headers and content in turn; the content is not copied.

    max_pdu_bytes : what the peer takes, 0 for any length; the command set must fit (PS3.8 D.1).
    """
    parts: list[bytes | memoryview] = [_pdv(len(command), context_id, LAST_OF_COMMAND) + command]
    view, size = memoryview(dataset), max_pdu_bytes - PDV_HEADER_BYTES
    size = size if size > 0 else max(1, len(view))
    for start in range(0, len(view), size):
        fragment = view[start : start + size]
        last = start + size >= len(view)
        parts += [_pdv(len(fragment), context_id, LAST_OF_DATASET if last else MORE_OF_DATASET), fragment]
    return parts


def _pdv(size: int, context_id: int, control: bytes) -> bytes:
    return _PDV.pack(_P_DATA_TF, size + PDV_HEADER_BYTES, size + 2, context_id, control[0])


def _fragments(dataset: bytes, size: int) -> Iterator[bytes]:
    """A data set in pieces of `size` bytes, with their message control headers; whole where there is no limit."""
    size = size if size > 0 else max(1, len(dataset))
    for start in range(0, len(dataset), size):
        last = start + size >= len(dataset)
        yield (LAST_OF_DATASET if last else MORE_OF_DATASET) + dataset[start : start + size]


def is_watched(association: Any) -> bool:
    """Whether anybody would see the message that pynetdicom makes of the primitive."""
    handlers = association.get_handlers(evt.EVT_DIMSE_SENT)
    return _log.isEnabledFor(logging.INFO) or any(handler[0] is not standard_dimse_sent_handler for handler in handlers)


def _encoded(value: Any, vr: str) -> bytes | None:
    if vr == "US" and isinstance(value, int):
        return struct.pack("<H", value)
    if vr in ("UI", "AE", "LO") and isinstance(value, str) and value.isascii() and "\\" not in value:
        return value.encode("ascii") + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    return None


def _decoded(content: bytes, vr: str) -> Any:
    """A value as pydicom gives it; None for one that is not plain."""
    if not content:
        return None
    if vr in ("US", "UL"):
        return int.from_bytes(content, "little") if len(content) == (2 if vr == "US" else 4) else None
    if vr not in ("UI", "AE", "LO") or not content.isascii() or b"\\" in content:
        return None
    text = content.decode("ascii")
    return UID(text.rstrip("\0 ")) if vr == "UI" else text.strip(" ")


def _decode(content: BytesIO, is_implicit_vr: bool, is_little_endian: bool, deflated: bool = False) -> Any:
    light = None
    if not _log.isEnabledFor(logging.INFO):
        light = decode_command(content.getvalue())
    return _plain_decode(content, is_implicit_vr, is_little_endian, deflated) if light is None else light
