"""A peer that does everything wrong, by a script drawn from random numbers: half PDUs, lies, aborts, garbage."""

from __future__ import annotations

import random
import socket
import struct
import time
from contextlib import suppress

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find
from pynetdicom.sop_class import Verification

from tests.e2e.objects import encoded, mr_object
from tests.e2e.raw_association import _associate_request, _command

CONTEXTS = [
    (Verification, ExplicitVRLittleEndian),
    (MRImageStorage, ExplicitVRLittleEndian),
    (Find, ExplicitVRLittleEndian),
]
REQUEST = _associate_request(CONTEXTS)
# Of a study that is refused whatever else is right: nothing of it may be stored.
DATASET = encoded(mr_object(SOPInstanceUID="1.2.3.4"))
COMMAND = _command(MRImageStorage, "1.2.3.5", 1)  # another UID than the data set's
RELEASE, ABORT = struct.pack(">BBII", 5, 0, 4, 0), struct.pack(">BBII", 7, 0, 4, 0)


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU that may lie about its length."""
    return struct.pack(">BBI", kind, 0, (len(body) if length is None else length) & 0xFFFFFFFF) + body


def fragment(context: int, flags: int, data: bytes, length: int | None = None) -> bytes:
    """A presentation data value that may lie about its length."""
    return struct.pack(">IBB", (len(data) + 2 if length is None else length) & 0xFFFFFFFF, context, flags) + data


class HostilePeer:
    """One script after the other, each over a connection of its own; `played` counts them."""

    def __init__(self, port: int, seed: object) -> None:
        self._port = port
        self._random = random.Random(f"{seed}")  # noqa: S311 - scripts, not secrets
        self.played = 0

    def play(self) -> None:
        """Connect, do some things, leave in some way."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(5)
            if self._random.random() < 0.85:
                connection.sendall(self._request())
                self._read_some(connection)
            for _ in range(self._random.randrange(6)):
                self._send(connection, self._act())
            self._leave(connection)
        self.played += 1

    def _request(self) -> bytes:
        return self._damaged(REQUEST) if self._random.random() < 0.2 else REQUEST

    def _act(self) -> bytes:
        acts = (
            lambda: pdu(4, fragment(3, 3, COMMAND)),
            lambda: pdu(4, fragment(3, 2, DATASET)),
            lambda: pdu(4, fragment(3, 0, DATASET[:500])),
            lambda: pdu(4, fragment(3, 3, COMMAND) + fragment(3, 2, DATASET)),
            lambda: pdu(4, fragment(3, 3, self._damaged(COMMAND))),
            lambda: pdu(4, fragment(5, 3, self._damaged(COMMAND)) + fragment(5, 2, self._random.randbytes(80))),
            lambda: pdu(4, fragment(self._random.choice([1, 3, 5, 7, 0, 255]), self._random.randrange(256), COMMAND)),
            lambda: pdu(4, fragment(3, 3, COMMAND, self._random.choice([0, 1, 2, 3, 2**16, 2**32 - 1]))),
            lambda: pdu(4, fragment(3, 1, COMMAND), self._random.choice([0, 1, 5, 6, 7, 2**17, 2**31, 2**32 - 1])),
            lambda: pdu(self._random.randrange(256), self._random.randbytes(self._random.randrange(300))),
            lambda: self._random.randbytes(self._random.randrange(1, 3000)),
            lambda: self._damaged(pdu(4, fragment(3, 3, COMMAND) + fragment(3, 2, DATASET))),
            lambda: REQUEST,
            lambda: RELEASE,
            lambda: ABORT,
            lambda: RELEASE + pdu(4, fragment(3, 3, COMMAND)),
            lambda: b"",
        )
        return self._random.choice(acts)()

    def _damaged(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._random.randrange(1, 5)):
            at = self._random.randrange(len(changed))
            changed[at : at + self._random.choice([0, 1, 1, 1, 4])] = self._random.randbytes(self._random.randrange(3))
        return bytes(changed) or b"\0"

    def _send(self, connection: socket.socket, data: bytes) -> None:
        """At once, in two halves, or a byte at a time for a while."""
        way = self._random.random()
        if way < 0.7 or len(data) < 4:
            connection.sendall(data)
        elif way < 0.9:
            at = self._random.randrange(1, len(data))
            connection.sendall(data[:at])
            time.sleep(self._random.random() / 20)
            connection.sendall(data[at:])
        else:
            for byte in data[:20]:
                connection.sendall(bytes([byte]))
                time.sleep(0.01)
        if self._random.random() < 0.3:
            self._read_some(connection)

    def _read_some(self, connection: socket.socket) -> None:
        connection.settimeout(0.2)
        with suppress(TimeoutError):
            connection.recv(self._random.choice([1, 6, 4096]))
        connection.settimeout(5)

    def _leave(self, connection: socket.socket) -> None:
        way = self._random.random()
        if way < 0.3:  # a reset instead of an orderly end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif way < 0.4:
            connection.shutdown(socket.SHUT_WR)
            self._read_some(connection)
        elif way < 0.5:
            connection.sendall(RELEASE)
        elif way < 0.6:
            time.sleep(self._random.random() * 2)
