"""Command sets and identifiers as bytes, Implicit VR Little Endian (PS3.7 6.3.1 and E)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_MOVE_RQ, C_ECHO_RQ = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030
RESPONSE = 0x8000  # set in the command field of responses
PENDING = (0xFF00, 0xFF01)
NO_DATASET = 0x0101
# Elements of group 0000 by their numbers.
AFFECTED_SOP_CLASS, COMMAND_FIELD, MESSAGE_ID, ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
MOVE_DESTINATION, PRIORITY, DATASET_TYPE, STATUS = 0x0600, 0x0700, 0x0800, 0x0900
AFFECTED_SOP_INSTANCE, COMPLETED, FAILED = 0x1000, 0x1021, 0x1022

Values = Mapping[int, str | int]


def encode_command(values: Values) -> bytes:
    """A command set with its group length; strings are padded, numbers are US."""
    elements = b"".join(_element(0x0000, number, value) for number, value in sorted(values.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(elements)) + elements


def encode_identifier(values: Values) -> bytes:
    """An identifier; keys are tags (0x00080052), values text."""
    return b"".join(_element(tag >> 16, tag & 0xFFFF, value) for tag, value in sorted(values.items()))


def decode_command(content: bytes) -> dict[int, bytes]:
    """Values of a command set by element number."""
    found, position = {}, 0
    while position + 8 <= len(content):
        _, number, length = struct.unpack_from("<HHL", content, position)
        found[number] = content[position + 8 : position + 8 + length]
        position += 8 + length
    return found


def number_of(command: Mapping[int, bytes], element: int) -> int:
    """A US value; 0 where it is absent."""
    return int.from_bytes(command.get(element, b""), "little")


def _element(group: int, number: int, value: str | int) -> bytes:
    content = struct.pack("<H", value) if isinstance(value, int) else value.encode("ascii")
    padding = b"\0" if number in (AFFECTED_SOP_CLASS, AFFECTED_SOP_INSTANCE) and group == 0 else b" "
    content += padding * (len(content) % 2)
    return struct.pack("<HHL", group, number, len(content)) + content
