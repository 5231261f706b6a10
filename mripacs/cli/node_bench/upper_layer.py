"""A client's end of the DICOM upper layer (PS3.8), as cheap as Python allows: bytes prepared beforehand, one thread.

pynetdicom on the sending side would take more time than the server that is measured. This is no general client: one
message at a time, and whatever is not expected is a PeerError.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import BinaryIO, Self, cast

from mripacs.cli.node_bench.command_set import IMPLICIT_VR_LITTLE_ENDIAN, decode_command
from mripacs.core.errors import PeerError

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
OUR_CLASS_UID = b"2.25.5250362428260905174276052251969858633"
MAX_PDU_BYTES = 131072  # what we receive at most, and send at most
TIMEOUT_S = 120.0
ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA_TF, RELEASE_RQ, RELEASE_RP = 1, 2, 4, 5, 6
HEADER = struct.Struct(">BxL")
PDV_HEADER = struct.Struct(">LBB")
COMMAND, LAST = 1, 2  # bits of a PDV's message control header (PS3.8 E.2)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context to ask for; `as_scp` asks to receive its instances (C-GET, PS3.7 D.3.3.4)."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (IMPLICIT_VR_LITTLE_ENDIAN,)
    as_scp: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A DIMSE message as it came."""

    context_id: int
    command: dict[int, bytes]
    dataset_bytes: int


class Association:
    """An association as requestor; a context manager that releases it. Not thread-safe."""

    def __init__(self, port: int, called: str, proposals: Iterable[Proposal], calling: str = "BENCH") -> None:
        self._socket = _connected(port)
        self._incoming = buffered(self._socket)
        asked = tuple(proposals)
        self._socket.sendall(request(called, calling, asked))
        kind, body = read_pdu(self._incoming)
        if kind != ASSOCIATE_AC:
            raise PeerError(f"{called} at port {port} does not take the association (PDU type {kind})")
        self.max_pdu_bytes, accepted = _accepted(body)
        self.contexts = {
            (proposal.abstract_syntax, accepted[number]): number
            for number, proposal in _numbered(asked)
            if number in accepted
        }

    def context(self, abstract_syntax: str, transfer_syntax: str = IMPLICIT_VR_LITTLE_ENDIAN) -> int:
        """ID of the accepted presentation context. Raises PeerError when there is none."""
        try:
            return self.contexts[abstract_syntax, transfer_syntax]
        except KeyError as error:
            raise PeerError(f"{abstract_syntax} in {transfer_syntax} is not accepted") from error

    def send(self, pdus: bytes) -> None:
        """Bytes that `message` made."""
        self._socket.sendall(pdus)

    def message(self, context_id: int, command: bytes, dataset: bytes = b"") -> bytes:
        """The PDUs of a message, as large as the peer takes them."""
        return message(context_id, command, dataset, self.max_pdu_bytes)

    def receive(self) -> Message:
        """The next message. Raises PeerError when the association ends instead."""
        return read_message(self._incoming)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._socket:
            if error is None:
                self._socket.sendall(HEADER.pack(RELEASE_RQ, 4) + bytes(4))
                read_pdu(self._incoming)


@lru_cache(64)
def request(called: str, calling: str, asked: tuple[Proposal, ...]) -> bytes:
    """The A-ASSOCIATE-RQ PDU that asks for the proposals, under the context IDs 1, 3, 5 ..."""
    contexts = b"".join(_context(number, proposal) for number, proposal in _numbered(asked))
    titles = called.encode("ascii").ljust(16) + calling.encode("ascii").ljust(16)
    fixed = struct.pack(">H2x", 1) + titles + bytes(32)
    roles = [proposal.abstract_syntax for proposal in asked if proposal.as_scp]
    variable = _item(0x10, APPLICATION_CONTEXT) + contexts + _user_information(list(dict.fromkeys(roles)))
    return _pdu(ASSOCIATE_RQ, fixed + variable)


def message(context_id: int, command: bytes, dataset: bytes, max_pdu_bytes: int) -> bytes:
    """The P-DATA-TF PDUs of a command set and a data set, ready to be sent."""
    size = max_pdu_bytes - PDV_HEADER.size
    pdus = [_p_data(context_id, COMMAND | LAST, command)]
    for start in range(0, len(dataset), size):
        flags = LAST if start + size >= len(dataset) else 0
        pdus.append(_p_data(context_id, flags, dataset[start : start + size]))
    return b"".join(pdus)


def read_message(incoming: BinaryIO) -> Message:
    """Collect PDVs up to the end of a message; the data set is read and only counted."""
    command, dataset_bytes, decoded = b"", 0, {}
    while True:
        kind, body = read_pdu(incoming)
        if kind != P_DATA_TF:
            raise PeerError(f"the peer sent a PDU of type {kind} in the place of an answer")
        position = 0
        while position < len(body):
            length, context_id, flags = PDV_HEADER.unpack_from(body, position)
            start, position = position + PDV_HEADER.size, position + 4 + length
            if not flags & COMMAND:
                dataset_bytes += position - start
            else:
                command += body[start:position]
            if flags & COMMAND and flags & LAST:
                decoded = decode_command(command)
            if flags & LAST and not (flags & COMMAND and has_dataset(decoded)):
                return Message(context_id, decoded, dataset_bytes)


def has_dataset(command: Mapping[int, bytes]) -> bool:
    """Whether a data set follows (PS3.7 E.1, Command Data Set Type)."""
    return command.get(0x0800, b"\x01\x01") != b"\x01\x01"


def read_pdu(incoming: BinaryIO) -> tuple[int, bytes]:
    """Type and body of the next PDU. Raises PeerError at the end of the connection."""
    header = incoming.read(HEADER.size)
    if len(header) < HEADER.size:
        raise PeerError("the peer closed the connection")
    kind, length = HEADER.unpack(header)
    return kind, incoming.read(length)


def buffered(connection: socket.socket) -> BinaryIO:
    """The socket as a file that is read in large pieces."""
    return cast("BinaryIO", connection.makefile("rb", 1 << 18))


def accept(body: bytes) -> tuple[bytes, int]:
    """The A-ASSOCIATE-AC that takes each context in its first transfer syntax, and the peer's largest PDU."""
    answers = b""
    for kind, item in items(body[68:]):
        if kind == 0x20:
            syntax = next(value for inner, value in items(item[4:]) if inner == 0x40)
            answers += _item(0x21, item[:1] + bytes(3) + _item(0x40, syntax))
    fixed = struct.pack(">H2x", 1) + body[4:68]
    return _pdu(ASSOCIATE_AC, fixed + _item(0x10, APPLICATION_CONTEXT) + answers + _user_information([])), _max_pdu(
        body
    )


def items(content: bytes) -> Iterable[tuple[int, bytes]]:
    """The items of a variable field, type and value."""
    position = 0
    while position + 4 <= len(content):
        kind, length = struct.unpack_from(">BxH", content, position)
        yield kind, content[position + 4 : position + 4 + length]
        position += 4 + length


def _connected(port: int) -> socket.socket:
    """A connection; `socket.create_connection` would ask the resolver."""
    connection = socket.socket()
    try:
        connection.settimeout(TIMEOUT_S)
        connection.connect(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        connection.close()
        raise
    return connection


def _numbered(asked: tuple[Proposal, ...]) -> Iterator[tuple[int, Proposal]]:
    """The proposals and their presentation context IDs."""
    return zip(range(1, 2 * len(asked), 2), asked, strict=True)


def _context(number: int, proposal: Proposal) -> bytes:
    syntaxes = b"".join(_item(0x40, syntax.encode("ascii")) for syntax in proposal.transfer_syntaxes)
    return _item(0x20, bytes([number, 0, 0, 0]) + _item(0x30, proposal.abstract_syntax.encode("ascii")) + syntaxes)


def _user_information(scp_roles: list[str]) -> bytes:
    roles = b"".join(
        _item(0x54, struct.pack(">H", len(uid)) + uid.encode("ascii") + bytes([0, 1])) for uid in scp_roles
    )
    return _item(0x50, _item(0x51, struct.pack(">L", MAX_PDU_BYTES)) + _item(0x52, OUR_CLASS_UID) + roles)


@lru_cache(64)
def _accepted(body: bytes) -> tuple[int, dict[int, str]]:
    """The peer's largest PDU, and the transfer syntax of each accepted context by its ID."""
    accepted: dict[int, str] = {}
    for kind, item in items(body[68:]):
        if kind == 0x21 and item[2] == 0:
            syntax = next(value for inner, value in items(item[4:]) if inner == 0x40)
            accepted[item[0]] = syntax.decode("ascii").rstrip("\0 ")
    return _max_pdu(body), accepted


def _max_pdu(body: bytes) -> int:
    user = next((item for kind, item in items(body[68:]) if kind == 0x50), b"")
    announced = next((struct.unpack(">L", value)[0] for kind, value in items(user) if kind == 0x51), 0)
    return min(MAX_PDU_BYTES, announced or MAX_PDU_BYTES)


def _p_data(context_id: int, flags: int, fragment: bytes) -> bytes:
    return _pdu(P_DATA_TF, PDV_HEADER.pack(len(fragment) + 2, context_id, flags) + fragment)


def _pdu(kind: int, body: bytes) -> bytes:
    return HEADER.pack(kind, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value
