"""pynetdicom's upper layer without its thread: who sends acts at once, who waits reads the socket.

pynetdicom gives each association two threads that look for work every millisecond and hand each PDU to each other. With
both in the thread that serves the connection, a C-ECHO with its association takes 1.0 ms of processor time in the place
of 3.5, and 1.5 ms by the clock in the place of 10; over a kept association 0.14 and 0.18 in the place of 0.89 and 2.6.
The state machine and its actions are pynetdicom's. Seams: `start`, `is_alive`, `stop_dul`, `send_pdu`, `receive_pdu`
and `peek_next_pdu` of `DULServiceProvider`; `tests/dimse/test_upper_layer.py` says when they move.
"""

from __future__ import annotations

import fcntl
import queue
import select
import socket
import ssl
import termios
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pynetdicom import evt
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu_primitives import A_ABORT, A_P_ABORT, P_DATA
from pynetdicom.timer import Timer

from mripacs.dimse.light_queue import LightQueue
from mripacs.dimse.pdu_reader import (
    AWAITING_LOCAL_RESPONSE,
    CLOSING,
    DATA_TRANSFER,
    IDLE,
    TRANSPORT_CLOSED,
    PduReader,
    nobody_listens,
)
from mripacs.dimse.sending import send_all

ARTIM_EXPIRED = "Evt18"  # PS3.8 Table 9-10
RELEASE_RP = bytes((6, 0, 0, 0, 0, 4, 0, 0, 0, 0))  # PS3.8 9.3.7
RELEASE_REQUESTED = "Sta8"
RELEASE_STATES = frozenset({RELEASE_REQUESTED, "Sta9", "Sta12"})  # in which a release is answered (Table 9-10)
DATA_STATES = frozenset({"Sta6", "Sta8"})  # in which P-DATA may be sent (PS3.8 Table 9-10)
UNABORTABLE_STATES = frozenset({"Sta1", "Sta2", "Sta13"})  # without an association, or with one that is over
TURN_S = 1.0  # that an abort of another thread waits for a send under way
LOOK_EVERY_S = 0.002  # a look costs 4 us; a cancel that is seen 2 ms later has cost some matches more
ENDLESS_S = 86400.0  # of waits whose time-out is off


_WATCHED = frozenset({evt.EVT_PDU_SENT, evt.EVT_DATA_SENT, evt.EVT_FSM_TRANSITION})
_ANSWERS_WATCHED = frozenset({evt.EVT_ACSE_SENT})


class EventQueue(LightQueue):
    """Events of an upper layer, which nobody adds while another thread acts on what it has just looked at."""

    def __init__(self, turn: threading.RLock) -> None:
        super().__init__()
        self._turn = turn

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an event."""
        with self._turn:
            super().put(item)


class DirectUpperLayer(DULServiceProvider):
    """The upper layer of one association. One thread, that which calls `start`, reads; any may send."""

    def __init__(self, association: Any, max_pdu_bytes: int) -> None:
        # pynetdicom's own constructor makes a thread, and queues that threads wait at: 0.06 ms of an association's 0.5
        self._assoc = association
        self.socket = None
        self._turn = threading.RLock()  # of the state machine and of what is sent
        self.event_queue: Any = EventQueue(self._turn)
        self.to_provider_queue: Any = LightQueue()
        self.to_user_queue: Any = LightQueue()
        self._recv_pdu: Any = LightQueue()
        self._idle_timer, self.artim_timer = Timer(60), Timer(30)  # the association sets their times
        self.state_machine = StateMachine(self)
        self._kill_thread = False
        self._owner = 0
        self._reading = False
        self._looked = 0.0
        self._kept: list[bytes | memoryview] = []  # to be sent with what comes next
        self._readable: select.poll | None = None
        self.reader = PduReader(self, max_pdu_bytes)
        self.reader.install()

    def start(self) -> None:
        """Begin, in the calling thread: it owns the association from here."""
        self._owner = threading.get_ident()
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        self._act()

    def is_alive(self) -> bool:
        """Whether the connection is still served."""
        return bool(self._owner) and not self._kill_thread

    def stop_dul(self) -> bool:
        """Close the connection; another thread than the owner only lets the owner see that it is over."""
        if not self.is_mine():
            self.wake()
            return True
        if self.state_machine.current_state == CLOSING and self._has_unread():
            self._read_within(0)  # a PDU that has come is read: with it unread, closing would reset the connection
        if self.state_machine.current_state != IDLE and self.socket is not None:
            self.socket.close()
            self._act()
        self._kill_thread = True
        return True

    def _has_unread(self) -> bool:
        """Whether there may be bytes of the peer. Its end of the connection is none of them, unlike for `_has_come`."""
        connection = self.socket.socket if self.socket else None
        if connection is None or isinstance(connection, ssl.SSLSocket):
            return connection is not None
        try:
            return any(fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))
        except (OSError, ValueError):  # closed by another thread
            return False

    def wake(self) -> None:
        """End the owner's wait: it finds the end of the connection. What was sent still leaves."""
        connection = self.socket.socket if self.socket else None
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RD)  # SSLSocket's own would drop its cipher

    def interrupt(self) -> None:
        """End every wait of the connection, that of a send as well."""
        connection = self.socket.socket if self.socket else None
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _takes(self, primitive: Any) -> bool:
        """Whether the state machine has a use for it (PS3.8 Table 9-10)."""
        state = self.state_machine.current_state
        if isinstance(primitive, P_DATA):
            return state in DATA_STATES
        return not (isinstance(primitive, A_ABORT | A_P_ABORT) and state in UNABORTABLE_STATES)

    def send_pdu(self, primitive: Any) -> None:
        """Send a primitive now.

        P-DATA for an association that has ended is dropped; an abort of one that has not begun closes the connection.
        """
        is_abort = isinstance(primitive, A_ABORT | A_P_ABORT)
        if not self._turn.acquire(timeout=TURN_S if is_abort and not self.is_mine() else -1):
            self.interrupt()
            return
        try:
            if not self._takes(primitive):  # while the turn was waited for, the association ended
                if is_abort and not self.is_mine():
                    self.wake()
                return
            if self._kept:
                self.write([])
            super().send_pdu(primitive)
            self._act()
        finally:
            self._turn.release()
        if self.state_machine.current_state == CLOSING and not self.is_mine():
            self.wake()

    def write(self, parts: Sequence[bytes | memoryview], *, later: bool = False) -> None:
        """Send P-DATA-TF PDUs whose bytes `parts` are, put together, as DT-1 and AR-7 would.

        later : with what is sent next, at the latest when the peer is waited for.
        """
        with self._turn:
            if later:
                self._kept += parts
                return
            if self._kept:
                parts, self._kept = [*self._kept, *parts], []
            connection = self.socket.socket if self.socket else None
            if connection is None or self.state_machine.current_state not in DATA_STATES:
                return
            self._send_all(connection, parts)

    def accept(self, pdu: bytes) -> None:
        """Send an A-ASSOCIATE-AC PDU, as AE-7 would; nothing for an association that was aborted meanwhile."""
        with self._turn:
            connection = self.socket.socket if self.socket else None
            if connection is None or self.state_machine.current_state != AWAITING_LOCAL_RESPONSE:
                return
            self.state_machine.current_state = DATA_TRANSFER
            self._send_all(connection, [pdu])

    def answer_release(self) -> bool:
        """Send an A-RELEASE-RP, as `send_pdu` and AR-4 would; False where somebody listens, or none is asked for."""
        with self._turn:
            connection = self.socket.socket if self.socket else None
            machine = self.state_machine
            if connection is None or machine.current_state != RELEASE_REQUESTED or not self.answers_unwatched():
                return False
            machine.current_state = CLOSING
            self.artim_timer.start()
            parts, self._kept = [*self._kept, RELEASE_RP], []
            self._send_all(connection, parts)
            return True

    def may_be_released(self) -> bool:
        """Whether a release was asked for and is not answered; an abort of another thread may have been faster."""
        return self.state_machine.current_state in RELEASE_STATES

    def answers_unwatched(self) -> bool:
        """Whether nobody listens to what `accept` and `answer_release` would not tell."""
        return self.is_unwatched() and nobody_listens(self.assoc, _ANSWERS_WATCHED)

    def is_unwatched(self) -> bool:
        """Whether nobody listens to what `write` would not tell."""
        return nobody_listens(self.assoc, _WATCHED)

    def _send_all(self, connection: socket.socket, parts: Sequence[bytes | memoryview]) -> None:
        try:
            send_all(connection, parts)
        except OSError:
            self.event_queue.put(TRANSPORT_CLOSED)
            self._act()

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:
        """The next primitive for the user; None when none comes in time, or the connection ends."""
        if wait:
            self.read_until(lambda: not self.to_user_queue.empty(), timeout)
        return super().receive_pdu(wait=False)

    def peek_next_pdu(self) -> Any:
        """The next primitive for the user, what has come by now included; None if there is none."""
        self.look()
        return super().peek_next_pdu()

    def look(self, *, ahead: bool = False) -> None:
        """Read one PDU if one has come, but not more often than every 2 ms.

        ahead : at once, if it came together with the one before.
        Does nothing in other threads than the owner's, and while a PDU is read.
        """
        if self.is_mine() and not self._reading and self.is_alive():
            now = time.monotonic()
            if (ahead and self.reader.has_bytes) or now - self._looked >= LOOK_EVERY_S:
                self._looked = now
                self._read_within(0)

    def read_until(self, arrived: Callable[[], bool], seconds: float | None) -> bool:
        """Read PDUs until `arrived` says so; whether it did within `seconds` (None: any time) and before the end."""
        deadline = time.monotonic() + (ENDLESS_S if seconds is None else seconds)
        while not arrived():
            left = deadline - time.monotonic()
            if left <= 0 or not self.is_alive() or self._reading:
                return False
            self._read_within(min(left, self._artim_left_s()))
        return True

    def _read_within(self, seconds: float) -> None:
        """Read a PDU and act on it, or see that the ARTIM timer has expired (PS3.8 9.1.5)."""
        if seconds and self._kept:
            self.write([])
        self._reading = True
        try:
            if self._has_come(seconds):
                self._read_pdu_data()
                self._looked = time.monotonic()
                self._idle_timer.restart()
            elif self.artim_timer.expired:
                self.event_queue.put(ARTIM_EXPIRED)
            self._act()
        finally:
            self._reading = False

    def _has_come(self, seconds: float) -> bool:
        connection = self.socket.socket if self.socket else None
        if connection is None:
            self.event_queue.put(TRANSPORT_CLOSED)
            return False
        if self.reader.has_bytes or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            return True
        if self._readable is None:
            number = connection.fileno()
            if number < 0:  # closed by another thread just now
                self.event_queue.put(TRANSPORT_CLOSED)
                return False
            self._readable = select.poll()
            self._readable.register(number, select.POLLIN)
        return bool(self._readable.poll(seconds * 1000))

    def _act(self) -> None:
        """Let the state machine act on every event and primitive that waits."""
        with self._turn:
            while not self._kill_thread:
                primitive = None
                if self.event_queue.empty():
                    if not self._process_recv_primitive():
                        return
                    primitive = self.to_provider_queue.queue[0]
                self.state_machine.do_action(self.event_queue.get_nowait())
                self._drop(primitive)

    def _drop(self, primitive: Any) -> None:
        """Take a primitive off the queue that its action left there: it came in a state that has no use for it."""
        waiting = self.to_provider_queue.queue
        if primitive is not None and waiting and waiting[0] is primitive:
            with suppress(queue.Empty):
                self.to_provider_queue.get_nowait()

    def _artim_left_s(self) -> float:
        timer = self.artim_timer
        return max(0.0, timer.remaining) if timer._start_time is not None and timer._end_time is None else ENDLESS_S

    def is_mine(self) -> bool:
        """Whether the calling thread owns the association."""
        return threading.get_ident() == self._owner
