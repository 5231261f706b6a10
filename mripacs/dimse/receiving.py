"""Messages put together from their fragments, bounded in memory (PS3.7 6.3, PS3.8 Annex E).

pynetdicom collects a data set whole before a handler can refuse it. Here the buffer that it writes fragments into stops
keeping them at the limit and only counts the rest, so the association lives and the sender gets its A700 at the end.
Seams: `Association.dimse`, `DIMSEServiceProvider.receive_primitive`, and the two buffers of `DIMSEMessage`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

from pynetdicom import evt
from pynetdicom._handlers import standard_dimse_recv_handler
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

from mripacs.core.errors import ObjectTooLargeError
from mripacs.dimse.arriving import Arriving, read_command
from mripacs.dimse.event_answers import Awaited, DirectMessageQueue, MessageQueue
from mripacs.dimse.pdu_reader import INVALID_PDU
from mripacs.dimse.upper_layer import DirectUpperLayer

log = logging.getLogger(__name__)
pynetdicom_log = logging.getLogger("pynetdicom")

MAX_COMMAND_BYTES = 2**16  # real command sets have some hundred bytes
# Messages received and not yet looked at. A peer waits for each answer (PS3.7 D.3.3.3: no asynchronous operations are
# negotiated), so one is enough; each may hold a data set of the limit's size.
MAX_WAITING_MESSAGES = 2
COMMAND, LAST = 1, 2  # bits of a message control header (PS3.8 E.2)
WHOLE_COMMAND = COMMAND | LAST
POLL_S = 0.1  # how soon the end of an association is seen while an answer is waited for


class BoundedBuffer(BytesIO):
    """Keeps up to `limit` bytes; what goes beyond, or into no memory, empties it and is only counted, in `received`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.received = 0
        self.overflown = False

    def write(self, data: Any, /) -> int:
        """Keep or count `data`."""
        self.received += len(data)
        self.overflown = self.overflown or self.received > self.limit
        if not self.overflown:
            try:
                return super().write(data)
            except MemoryError:
                self.overflown = True
                log.error("no memory for a data set of more than %d bytes", self.received)
        super().__init__(b"")  # BytesIO without memory to grow is as good as closed, until it is made anew
        return len(data)


def dataset_bytes(buffer: BytesIO | None) -> bytes:
    """The whole data set of a message. Raises ObjectTooLargeError when it was larger than its buffer keeps."""
    if isinstance(buffer, BoundedBuffer) and buffer.overflown:
        why = f"{buffer.limit} are allowed" if buffer.received > buffer.limit else "there is no memory for them now"
        raise ObjectTooLargeError(f"the data set has {buffer.received} bytes, {why}")
    return buffer.getvalue() if buffer else b""


def bounded_receiving(max_dataset_bytes: int) -> tuple[evt.EventType, Callable[[evt.Event], None]]:
    """A handler on EVT_CONN_OPEN that bounds the data sets which an association receives, if it is not so made."""

    def install(event: evt.Event) -> None:
        if not isinstance(event.assoc.dimse, BoundedDimse):
            event.assoc.dimse = BoundedDimse(event.assoc, max_dataset_bytes)

    return evt.EVT_CONN_OPEN, install


class BoundedDimse(DIMSEServiceProvider):
    """Takes the place of an association's DIMSE service provider."""

    def __init__(self, association: Any, max_dataset_bytes: int) -> None:
        self._assoc = association
        self.cancel_req = {}
        self.message: DIMSEMessage | None = None
        self.msg_queue = DirectMessageQueue() if isinstance(association.dul, DirectUpperLayer) else MessageQueue()
        self._sending = threading.Lock()
        self._reporting = threading.Lock()
        self._max_dataset_bytes = max_dataset_bytes
        self._arriving: Arriving | None = None  # a message whose data set comes
        self._dataset = BoundedBuffer(max_dataset_bytes)  # of what arrives; nothing is kept after it
        self._context_id = 0
        self._max_pdu_bytes: int | None = None  # that the peer takes, from the negotiation on

    @property
    def cancel_req(self) -> dict[int, C_CANCEL]:
        """Requests to cancel by the message ID that they name, one that has just come included."""
        self._look()
        return self._cancel_requests

    @cancel_req.setter
    def cancel_req(self, requests: dict[int, C_CANCEL]) -> None:
        self._cancel_requests = requests

    @property
    def maximum_pdu_size(self) -> int:
        """Bytes of the largest PDU that the peer takes, 0 for any; pynetdicom looks it up at each use (2 us)."""
        if self._max_pdu_bytes is None:
            size: int = super().maximum_pdu_size
            if not self.assoc.is_established:
                return size
            self._max_pdu_bytes = size
        return self._max_pdu_bytes

    def get_msg(self, block: bool = False) -> Any:
        """The next message and its context ID; None twice when there is none, or none in the DIMSE time-out."""
        if block and isinstance(self.dul, DirectUpperLayer):
            self.dul.read_until(lambda: not self.msg_queue.empty(), self.dimse_timeout)
            block = False
        return super().get_msg(block)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Add a P-DATA's fragments to the message; a message that cannot be one aborts the association."""
        try:
            if self.message is None and self._takes(primitive.presentation_data_value_list):
                return
            if self.message is None:
                self.message = self._new_message()
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001 - a hostile command set raises anything, a fragment may be empty
            self._abort(f"a message that cannot be read ({type(error).__name__})")
            return
        if self.message is not None and self.message.encoded_command_set.received > MAX_COMMAND_BYTES:
            self._abort("a command set without end")
        else:
            self._bound_waiting()

    def _takes(self, fragments: Sequence[tuple[int, bytes | memoryview]]) -> bool:
        """Take fragments of a message that is plain (`arriving`); whether they were."""
        if self._arriving is not None:
            self._collect(fragments)
            return True
        if not fragments or fragments[0][1][0] & WHOLE_COMMAND != WHOLE_COMMAND or self._is_watched():
            return False
        context_id, command = fragments[0]
        message = read_command(bytes(command[1:]))
        if message is None:
            return False
        self._context_id = context_id
        if not message.has_dataset:
            self._hand_on(message.whole(BytesIO()))
            return True
        self._arriving = message
        self._collect(fragments[1:])
        return True

    def _collect(self, fragments: Sequence[tuple[int, bytes | memoryview]]) -> None:
        """Add fragments of the data set of the message that arrives; hand it on when it is whole."""
        for _, fragment in fragments:
            control = fragment[0]
            if control & COMMAND:
                self._abort("a command set in the midst of a data set")
                return
            self._dataset.write(fragment[1:])
            if control & LAST and self._arriving is not None:
                message, self._arriving = self._arriving, None
                dataset, self._dataset = self._dataset, BoundedBuffer(self._max_dataset_bytes)
                self._hand_on(message.whole(dataset))
                return

    def _hand_on(self, primitive: Any) -> None:
        primitive._context_id = self._context_id
        self.msg_queue.put((self._context_id, primitive))
        self._bound_waiting()

    def _bound_waiting(self) -> None:
        if self.msg_queue.qsize() > MAX_WAITING_MESSAGES:
            self._abort("more messages than may wait")

    def _is_watched(self) -> bool:
        """Whether anybody would see the message that pynetdicom makes of what comes."""
        handlers = self.assoc.get_handlers(evt.EVT_DIMSE_RECV)
        return pynetdicom_log.isEnabledFor(logging.INFO) or any(
            handler[0] is not standard_dimse_recv_handler for handler in handlers
        )

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message whole: fragments of two must not mix (PS3.8 E.1).

        It is traffic: without the restart, an association whose request took longer than the idle time to answer ends
        right after the answer.
        """
        with self._sending:
            super().send_msg(primitive, context_id)
        self.dul._idle_timer.restart()

    def send_pdus(self, parts: Sequence[bytes | memoryview], *, later: bool = False) -> None:
        """Send messages whose P-DATA-TF PDUs `parts` are, put together, over an upper layer of ours.

        later : with what is sent next.
        """
        with self._sending:
            self.dul.write(parts, later=later)
        self.dul._idle_timer.restart()

    def report_event(self, request: N_EVENT_REPORT, context_id: int) -> int | None:
        """Send an N-EVENT-REPORT beside other messages; the answer's status, None when there is none in time.

        The request gets a message ID of its own.
        """
        with self._reporting:
            awaited = self.msg_queue.event_answers.expect(context_id)
            request.MessageID = awaited.message_id
            try:
                self.send_msg(request, context_id)
                return self._answered(awaited)
            finally:
                self.msg_queue.event_answers.forget()

    def _answered(self, awaited: Awaited) -> int | None:
        if isinstance(self.dul, DirectUpperLayer) and self.dul.is_mine():
            arrived = self.dul.read_until(lambda: not awaited.status.empty(), self.dimse_timeout)
            return awaited.status.get_nowait() if arrived else None
        deadline = time.monotonic() + (self.dimse_timeout or 0)
        while self.assoc.is_established and time.monotonic() < deadline:
            with suppress(queue.Empty):
                return awaited.status.get(timeout=POLL_S)
        return None

    def _new_message(self) -> DIMSEMessage:
        message = DIMSEMessage()
        message.encoded_command_set = BoundedBuffer(MAX_COMMAND_BYTES)
        message.data_set = BoundedBuffer(self._max_dataset_bytes)
        return message

    def _look(self) -> None:
        if isinstance(self.dul, DirectUpperLayer):
            self.dul.look(ahead=True)

    def _abort(self, what: str) -> None:
        log.warning("association of %s aborted: %s", self.assoc.requestor.address, what)
        self.message = self._arriving = None
        self._dataset = BoundedBuffer(self._max_dataset_bytes)
        self.dul.event_queue.put(INVALID_PDU)
