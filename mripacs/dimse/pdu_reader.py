"""PDUs off the socket, bounded in size and time (PS3.8 9.3).

pynetdicom reads as many bytes as a PDU announces, 4 GiB if need be, and waits for them for ever. Its seams are
`DULServiceProvider._read_pdu_data`, which is called when bytes are there, and `StateMachine.do_action`, whose errors
would end a thread; both are replaced on each association. A test fails when a new version moves either.

P-DATA of an established association goes to the DIMSE provider without pynetdicom's PDU and item objects, which take
11 us for a PDU of 100 KB where it now takes 1, and three queues, unless somebody listens to what they would see.
"""

from __future__ import annotations

import logging
import math
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pynetdicom import evt
from pynetdicom.dul import _PDU_TYPES, DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from mripacs.dimse import known_requests

log = logging.getLogger(__name__)

HEADER = struct.Struct(">BxL")  # PDU type, length
PDV_HEADER = struct.Struct(">LB")  # length of what follows, presentation context ID (PS3.8 9.3.5.1)
ASSOCIATE_RQ, P_DATA_TF = 1, 4
# Everything but P-DATA-TF. 128 presentation contexts of 40 transfer syntaxes make an A-ASSOCIATE-RQ of 150 KB.
MAX_CONTROL_PDU_BYTES = 2**18
AHEAD_BYTES = 2**14  # read with a header: a command set, an identifier, the begin of a data set
DISCARD_BYTES = 2**16

# States and events of the upper layer's state machine (PS3.8 Tables 9-6 and 9-10).
IDLE, AWAITING_LOCAL_RESPONSE, DATA_TRANSFER, CLOSING = "Sta1", "Sta3", "Sta6", "Sta13"
REQUEST_CAME = "Evt6"
TRANSPORT_CLOSED = "Evt17"
INVALID_PDU = "Evt19"
_WATCHED = frozenset({evt.EVT_DATA_RECV, evt.EVT_PDU_RECV, evt.EVT_FSM_TRANSITION})


class PduReader:
    """Reads for one association; a PDU that is too long, or none, ends it by A-ABORT, and what follows is discarded.

    A PDU must arrive within the socket's timeout; the transport counts as closed otherwise.
    """

    def __init__(self, dul: DULServiceProvider, max_pdu_bytes: int) -> None:
        self._dul = dul
        self._max_pdu_bytes = max_pdu_bytes
        self._do_action = dul.state_machine.do_action
        self._ahead = b""  # read, and not yet a PDU
        self._discarding = False
        self._waiting = False  # in the middle of a PDU

    def install(self) -> None:
        """Take the places in the association's upper layer."""
        self._dul._read_pdu_data = self.read
        self._dul.state_machine.do_action = self.act

    @property
    def has_bytes(self) -> bool:
        """Whether something of the next PDU has been read already."""
        return bool(self._ahead)

    def read(self) -> None:
        """Read one PDU; hand on its data, or queue the event that it means."""
        connection = self._dul.socket.socket
        if connection is None:  # closed by another thread
            self._dul.event_queue.put(TRANSPORT_CLOSED)
            return
        try:
            self._waiting = True
            if self._discarding:
                self._discard(connection)
            else:
                self._read_pdu(connection)
        except OSError as error:
            log.info("connection of %s ended: %s", self._peer(), error.strerror or error)
            self._ahead = b""
            self._dul.event_queue.put(TRANSPORT_CLOSED)
        finally:
            self._waiting = False

    def act(self, event: str) -> None:
        """Let the state machine act; an error in it ends the association, not the process's patience."""
        try:
            self._do_action(event)
        except Exception as error:  # noqa: BLE001 - hostile bytes raise anything; the association ends in order
            log.warning("association of %s ended: %s on %s", self._peer(), type(error).__name__, event)
            self._dul.socket.close()

    def interrupt(self) -> None:
        """End the wait for the rest of a PDU, so that the association can end."""
        if self._waiting:
            with suppress(OSError, AttributeError, TypeError):  # closed meanwhile
                socket.socket.shutdown(self._dul.socket.socket, socket.SHUT_RDWR)  # SSLSocket's would drop its cipher

    def _read_pdu(self, connection: socket.socket) -> None:
        seconds = connection.gettimeout()
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while len(self._ahead) < HEADER.size:
            self._ahead += _some(connection, AHEAD_BYTES)
            _check(len(self._ahead) >= HEADER.size, deadline)
        kind, length = HEADER.unpack_from(self._ahead)
        limit = self._max_pdu_bytes if kind == P_DATA_TF else MAX_CONTROL_PDU_BYTES
        if self._ahead[:1] not in _PDU_TYPES or length > limit:
            self._refuse(f"PDU of type 0x{kind:02X} and {length} bytes")
            return
        pdu = self._whole(connection, HEADER.size + length, deadline)
        if kind == P_DATA_TF and self._goes_straight():
            self._hand_on(pdu)
        elif kind == ASSOCIATE_RQ and self._is_unwatched():
            self._queue(lambda: (known_requests.decoded(bytes(pdu)), REQUEST_CAME), kind)
        else:
            self._queue(lambda: self._dul._decode_pdu(bytearray(pdu)), kind)

    def _whole(self, connection: socket.socket, size: int, deadline: float) -> bytes | bytearray:
        """The first `size` bytes: those read already, and the rest off the socket."""
        ahead = self._ahead
        if len(ahead) >= size:
            self._ahead = ahead[size:]
            return ahead[:size]
        pdu = bytearray(size)
        pdu[: len(ahead)] = ahead
        self._ahead = b""
        _receive(connection, memoryview(pdu)[len(ahead) :], deadline)
        return pdu

    def _goes_straight(self) -> bool:
        """Whether P-DATA is what the state machine would only hand on (DT-2), unseen."""
        return self._dul.state_machine.current_state == DATA_TRANSFER and self._is_unwatched()

    def _is_unwatched(self) -> bool:
        return nobody_listens(self._dul.assoc, _WATCHED)

    def _hand_on(self, pdu: bytes | bytearray) -> None:
        data = P_DATA()
        try:
            data.presentation_data_value_list.extend(_fragments(pdu))  # its setter takes bytes only
        except struct.error:
            self._refuse("P-DATA-TF with a fragment of a wrong length")
            return
        self._dul.assoc.dimse.receive_primitive(data)

    def _queue(self, decode: Callable[[], tuple[Any, str]], kind: int) -> None:
        try:
            pdu, event = decode()
        except Exception as error:  # noqa: BLE001 - pynetdicom raises what it meets
            self._refuse(f"undecodable PDU of type 0x{kind:02X} ({type(error).__name__})")
            return
        self._dul._recv_pdu.put(pdu)  # first: another thread may act on the event at once
        self._dul.event_queue.put(event)

    def _refuse(self, what: str) -> None:
        log.warning("association of %s aborted: %s", self._peer(), what)
        self._discarding = True
        self._ahead = b""
        self._dul.event_queue.put(INVALID_PDU)

    def _discard(self, connection: socket.socket) -> None:
        _some(connection, DISCARD_BYTES)

    def _peer(self) -> Any:
        return self._dul.assoc.requestor.address


def nobody_listens(association: Any, events: frozenset[evt.NotificationEvent]) -> bool:
    """Whether no handler is bound to any of the events: pynetdicom keeps only those that have one."""
    unbound: bool = association._handlers.keys().isdisjoint(events)
    return unbound


def _fragments(pdu: bytes | bytearray) -> list[tuple[int, memoryview]]:
    """Context ID and fragment, message control header first, of each presentation data value.

    Raises struct.error when a length does not fit.
    """
    view, position, found = memoryview(pdu), HEADER.size, []
    while position < len(pdu):
        length, context_id = PDV_HEADER.unpack_from(pdu, position)
        end = position + 4 + length
        if length < 2 or end > len(pdu):  # PS3.8 9.3.5.1: context ID and control header at least
            raise struct.error("a fragment that ends elsewhere")
        found.append((context_id, view[position + PDV_HEADER.size : end]))
        position = end
    return found


def _some(connection: socket.socket, count: int) -> bytes:
    """What has come, `count` bytes at most. Raises OSError when the connection ends."""
    received = connection.recv(count)
    if not received:
        raise ConnectionError("closed by the peer")
    return received


def _receive(connection: socket.socket, view: memoryview, deadline: float) -> None:
    """Fill `view`. Raises OSError when the connection ends first or `deadline` (monotonic) passes."""
    received = 0
    while received < len(view):
        size = connection.recv_into(view[received:])
        if size == 0:
            raise ConnectionError("closed by the peer")
        received += size
        _check(received == len(view), deadline)


def _check(is_whole: bool, deadline: float) -> None:
    if not is_whole and time.monotonic() > deadline:
        raise TimeoutError("a PDU took too long")
