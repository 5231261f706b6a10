"""A storage SCU on a bare socket (PS3.8 9.3, PS3.7 9.3.1): it sends what no tool would send, and tells the status."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
TIMEOUT_S = 60
FRAGMENT_BYTES = 16000


@dataclass(frozen=True)
class Response:
    """A C-STORE response: its status and comment."""

    status: int
    comment: str


class RejectedError(Exception):
    """An A-ASSOCIATE-RJ: `args` are result, source and reason (PS3.8 Table 9-21).

    pynetdicom's client calls some rejections aborted: its upper layer may have ended before it looks.
    """


class RawAssociation:
    """An association with the presentation contexts 1, 3, 5 ... in the order given; a context manager."""

    def __init__(
        self,
        port: int,
        contexts: Sequence[tuple[str, str]],
        *,
        calling: str = "RAW",
        called: str = "MRIPACS",
        address: str = "127.0.0.1",
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S, (address, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message_id = 0
        self._socket.sendall(_associate_request(contexts, calling, called))
        kind, body = self._read_pdu()
        if kind == 3:
            self._socket.close()
            raise RejectedError(*body[1:])
        assert kind == 2, f"the association was answered by PDU type {kind}"
        # Context ID to result: 0 accepted, 3 abstract syntax, 4 transfer syntaxes not supported (PS3.8 Table 9-18).
        self.results = _context_results(body)

    def store(self, context_id: int, sop_class_uid: str, sop_instance_uid: str, dataset: bytes) -> Response:
        """C-STORE whatever bytes over a context, under whatever UIDs in the command."""
        self._message_id += 1
        command = _command(sop_class_uid, sop_instance_uid, self._message_id)
        self._send(context_id, command, is_command=True)
        self._send(context_id, dataset, is_command=False)
        elements = _elements(self._read_message())
        return Response(struct.unpack("<H", elements[0x0900])[0], elements.get(0x0902, b"").decode().strip())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._socket:
            if kind is None:
                self._socket.sendall(struct.pack(">BBII", 5, 0, 4, 0))  # A-RELEASE-RQ
                assert self._read_pdu()[0] == 6

    def _send(self, context_id: int, data: bytes, *, is_command: bool) -> None:
        for start in range(0, max(1, len(data)), FRAGMENT_BYTES):
            fragment = data[start : start + FRAGMENT_BYTES]
            last = start + FRAGMENT_BYTES >= len(data)
            value = struct.pack(">IBB", len(fragment) + 2, context_id, is_command | last << 1) + fragment
            self._socket.sendall(struct.pack(">BBI", 4, 0, len(value)) + value)

    def _read_message(self) -> bytes:
        message = b""
        while True:
            kind, body = self._read_pdu()
            assert kind == 4, f"the store was answered by PDU type {kind}"
            while body:
                size, _, flags = struct.unpack_from(">IBB", body)
                message, body = message + body[6 : 4 + size], body[4 + size :]
                if flags & 2:
                    return message

    def _read_pdu(self) -> tuple[int, bytes]:
        kind, _, size = struct.unpack(">BBI", self._read(6))
        return kind, self._read(size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            assert chunk, "the node closed the connection"
            data += chunk
        return data


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _associate_request(contexts: Sequence[tuple[str, str]], calling: str = "RAW", called: str = "MRIPACS") -> bytes:
    proposals = b"".join(_proposal(2 * number + 1, *context) for number, context in enumerate(contexts))
    user = _item(0x51, struct.pack(">I", 65536)) + _item(0x52, b"2.25.1")
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    body = struct.pack(">HH", 1, 0) + titles + b"\0" * 32
    body += _item(0x10, APPLICATION_CONTEXT.encode()) + proposals + _item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _proposal(context_id: int, abstract_syntax: str, transfer_syntax: str) -> bytes:
    syntaxes = _item(0x30, abstract_syntax.encode()) + _item(0x40, transfer_syntax.encode())
    return _item(0x20, struct.pack(">BBBB", context_id, 0, 0, 0) + syntaxes)


def _context_results(body: bytes) -> dict[int, int]:
    results, position = {}, 68
    while position < len(body):
        kind, _, size = struct.unpack_from(">BBH", body, position)
        if kind == 0x21:
            results[body[position + 4]] = body[position + 6]
        position += 4 + size
    return results


def _command(sop_class_uid: str, sop_instance_uid: str, message_id: int) -> bytes:
    elements = [
        (0x0002, _even(sop_class_uid)),
        (0x0100, struct.pack("<H", 0x0001)),
        (0x0110, struct.pack("<H", message_id)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 0)),
        (0x1000, _even(sop_instance_uid)),
    ]
    body = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def _elements(command: bytes) -> dict[int, bytes]:
    found, position = {}, 0
    while position < len(command):
        _, number, size = struct.unpack_from("<HHI", command, position)
        found[number] = command[position + 8 : position + 8 + size]
        position += 8 + size
    return found
