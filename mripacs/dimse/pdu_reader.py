"""PDUs off the socket, bounded in size and time (PS3.8 9.3).

pynetdicom reads as many bytes as a PDU announces, 4 GiB if need be, and waits for them for ever. Its seams are
`DULServiceProvider._read_pdu_data`, which its reactor calls when bytes are there, and `StateMachine.do_action`, whose
errors end that reactor's thread; both are replaced on each association. A test fails when a new version moves either.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from pynetdicom.dul import _PDU_TYPES, DULServiceProvider

log = logging.getLogger(__name__)

HEADER = struct.Struct(">BxL")  # PDU type, length
P_DATA_TF = 4
# Everything but P-DATA-TF. 128 presentation contexts of 40 transfer syntaxes make an A-ASSOCIATE-RQ of 150 KB.
MAX_CONTROL_PDU_BYTES = 2**18
DISCARD_BYTES = 2**16

# A state and events of the upper layer's state machine (PS3.8 Tables 9-6 and 9-10).
IDLE = "Sta1"
TRANSPORT_CLOSED = "Evt17"
INVALID_PDU = "Evt19"


class PduReader:
    """Reads for one association; a PDU that is too long, or none, ends it by A-ABORT, and what follows is discarded.

    A PDU must arrive within the socket's timeout; the transport counts as closed otherwise.
    """

    def __init__(self, dul: DULServiceProvider, max_pdu_bytes: int) -> None:
        self._dul = dul
        self._max_pdu_bytes = max_pdu_bytes
        self._do_action = dul.state_machine.do_action
        self._discarding = False
        self._waiting = False  # in the middle of a PDU

    def install(self) -> None:
        """Take the places in the association's upper layer."""
        self._dul._read_pdu_data = self.read
        self._dul.state_machine.do_action = self.act

    def read(self) -> None:
        """Read one PDU and queue the event that it means."""
        connection = self._dul.socket.socket
        try:
            self._waiting = True
            if self._discarding:
                _discard(connection)
            else:
                self._read_pdu(connection)
        except OSError as error:
            log.info("connection of %s ended: %s", self._peer(), error.strerror or error)
            self._dul.event_queue.put(TRANSPORT_CLOSED)
        finally:
            self._waiting = False

    def act(self, event: str) -> None:
        """Let the state machine act; an error in it ends the association, not the process's patience."""
        try:
            self._do_action(event)
        except Exception as error:  # noqa: BLE001 - hostile bytes raise anything; the reactor's thread ends in order
            log.warning("association of %s ended: %s on %s", self._peer(), type(error).__name__, event)
            self._dul.socket.close()
        self._wake()

    def interrupt(self) -> None:
        """End the wait for the rest of a PDU, so that the association can end."""
        if self._waiting:
            with suppress(OSError, AttributeError):  # closed meanwhile
                self._dul.socket.socket.shutdown(socket.SHUT_RDWR)

    def _read_pdu(self, connection: socket.socket) -> None:
        deadline = time.monotonic() + (connection.gettimeout() or 0)
        header = _receive(connection, HEADER.size, deadline)
        kind, length = HEADER.unpack(header)
        limit = self._max_pdu_bytes if kind == P_DATA_TF else MAX_CONTROL_PDU_BYTES
        if bytes(header[:1]) not in _PDU_TYPES or length > limit:
            self._refuse(f"PDU of type 0x{kind:02X} and {length} bytes")
            return
        body = _receive(connection, length, deadline)
        try:
            pdu, event = self._dul._decode_pdu(header + body)
        except Exception as error:  # noqa: BLE001 - pynetdicom raises what it meets
            self._refuse(f"undecodable PDU of type 0x{kind:02X} ({type(error).__name__})")
            return
        self._dul.event_queue.put(event)
        self._dul._recv_pdu.put(pdu)

    def _refuse(self, what: str) -> None:
        log.warning("association of %s aborted: %s", self._peer(), what)
        self._discarding = True
        self._dul.event_queue.put(INVALID_PDU)

    def _wake(self) -> None:
        """End the wait for a request on a connection that is closed: without this it lasts the whole negotiation time.

        The association's thread takes None for the end of that time.
        """
        dul = self._dul
        if dul.state_machine.current_state == IDLE and dul.assoc.requestor.primitive is None:
            dul.to_user_queue.put(None)

    def _peer(self) -> Any:
        return self._dul.assoc.requestor.address


def _receive(connection: socket.socket, count: int, deadline: float) -> bytearray:
    """Exactly `count` bytes. Raises OSError when the connection ends first or `deadline` (monotonic) passes."""
    buffer = bytearray(count)
    view, received = memoryview(buffer), 0
    while received < count:
        size = connection.recv_into(view[received:])
        if size == 0:
            raise ConnectionError("closed by the peer")
        received += size
        if received < count and time.monotonic() > deadline:
            raise TimeoutError("a PDU took too long")
    return buffer


def _discard(connection: socket.socket) -> None:
    if not connection.recv(DISCARD_BYTES):
        raise ConnectionError("closed by the peer")
