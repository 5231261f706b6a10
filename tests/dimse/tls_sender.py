"""A sender over TLS in a process of its own: `tls_sender.py PORT SECONDS` stores objects, and prints how many, or what
ended it. Its TLS records leave cut into pieces, so that the receiver often has half of one.
"""

from __future__ import annotations

import random
import socket
import ssl
import sys
import time
from functools import partial

from pydicom.uid import MRImageStorage
from pynetdicom.sop_class import Verification

from mripacs.cli.node_bench import command_set as fields
from mripacs.cli.node_bench import upper_layer as bench

PIECES = (700, 1500, 5000)  # bytes of a TCP segment
STORE = fields.encode_command(
    {
        fields.AFFECTED_SOP_CLASS: MRImageStorage,
        fields.COMMAND_FIELD: fields.C_STORE_RQ,
        fields.MESSAGE_ID: 1,
        fields.PRIORITY: 0,
        fields.DATASET_TYPE: 1,
        fields.AFFECTED_SOP_INSTANCE: "1.2.3",
    }
)


class Stream:
    """TLS through buffers of memory, for an association's bytes."""

    def __init__(self, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._patiently(self._tls.do_handshake)

    def send(self, content: bytes) -> None:
        for start in range(0, len(content), 15000):
            self._tls.write(content[start : start + 15000])
        self._flush()

    def pdu(self) -> tuple[int, bytes]:
        kind, length = bench.HEADER.unpack(self._read(bench.HEADER.size))
        return kind, self._read(length)

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += self._patiently(partial(self._tls.read, count - len(found)))
        return found

    def _patiently(self, attempt):
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._socket.recv(2**16)
                if not received:
                    raise ConnectionError("closed by the peer") from None
                self._in.write(received)

    def _flush(self) -> None:
        waiting = self._out.read()
        while waiting:
            size = random.choice(PIECES)  # noqa: S311 - no secret
            self._socket.sendall(waiting[:size])
            waiting = waiting[size:]


def main(port: int, seconds: float) -> int:
    stream = Stream(port)
    proposals = (bench.Proposal(str(MRImageStorage)), bench.Proposal(str(Verification)))
    stream.send(bench.request("ANY-SCP", "SENDER", proposals))
    assert stream.pdu()[0] == bench.ASSOCIATE_AC
    message = bench.message(1, STORE, bytes(640_000), 16_000)
    stored, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        stream.send(message)
        stored += 1
        while True:
            kind, body = stream.pdu()
            if kind != bench.P_DATA_TF:
                raise ConnectionError(f"a PDU of type {kind}")
            if body[4] == 1:  # the context of storage: its answer
                break
    return stored


if __name__ == "__main__":
    try:
        print("stored", main(int(sys.argv[1]), float(sys.argv[2])))
    except (OSError, AssertionError) as error:
        print("ended by", type(error).__name__, error)
