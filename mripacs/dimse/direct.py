"""Associations that live in the thread that serves them: see `upper_layer` for what that saves.

pynetdicom's own association looks every millisecond for a message, a release, an abort and the end of the idle time;
here it reads until one of them is there. Seams: `Association.start`, `is_alive` and `_run_reactor`.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR, MODE_REQUESTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.presentation import PresentationContext

from mripacs.dimse.known_answers import KnowingAcse
from mripacs.dimse.receiving import BoundedDimse
from mripacs.dimse.service_users import our_end, service_user
from mripacs.dimse.upper_layer import DirectUpperLayer

log = logging.getLogger(__name__)


class DirectAssociation(Association):
    """An association without threads of its own.

    As acceptor, `start` serves it and returns at its end. As requestor it reads while a request waits for its answer.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        mode: str,
        max_pdu_bytes: int,
        max_dataset_bytes: int,
        acceptor_title: str | None = None,
    ) -> None:
        """acceptor_title : ours, as acceptor; None where the acceptor is not we."""
        # pynetdicom's own constructor makes two threads, a provider that is replaced, and all default handlers: 0.25 ms
        self._ae, self.mode = entity, mode
        self._server = None
        self.requestor = service_user(self, MODE_REQUESTOR)
        if acceptor_title is None:
            self.acceptor = service_user(self, MODE_ACCEPTOR)
        else:
            self.acceptor = our_end(self, MODE_ACCEPTOR, acceptor_title)
        self.is_established = self.is_rejected = self.is_aborted = self.is_released = False
        self._sent_abort = self._sent_release = False
        self._accepted_cx: dict[int, PresentationContext] = {}
        self._rejected_cx: list[PresentationContext] = []
        self.acse = KnowingAcse(self)
        self.dul: DirectUpperLayer = DirectUpperLayer(self, max_pdu_bytes)
        self.dimse: DIMSEServiceProvider = BoundedDimse(self, max_dataset_bytes)
        self.dul.artim_timer.timeout = self._acse_timeout = entity.acse_timeout
        self.dul._idle_timer.timeout = self._network_timeout = entity.network_timeout
        self._dimse_timeout, self.connection_timeout = entity.dimse_timeout, entity.connection_timeout
        self.network_timeout_response = "A-ABORT"
        self._handlers: dict[evt.EventType, Any] = {}
        self._kill = self._started_dul = self._is_paused = False
        self._dul_ready = self._reactor_checkpoint = PASSED
        self._timer_resolution = None
        self._lives = False
        if self.is_requestor:
            self._bind_defaults()

    def start(self) -> None:
        """Serve the peer in this thread, as acceptor; as requestor, be ready for requests."""
        self._lives = True
        if self.is_requestor:
            self._is_paused = True  # nobody takes messages from who waits for them
            return
        try:
            if not self._kill:  # the end of the listener may have been faster
                self.run_reactor()
        finally:
            self._lives = False

    def is_alive(self) -> bool:
        """Whether it is served."""
        return self._lives and (self.is_acceptor or self.dul.is_alive())

    def _run_reactor(self) -> None:
        """Serve requests until release, abort, the end of the connection or of the idle time."""
        while not self._kill:
            context_id, message = self.dimse.get_msg(block=False)
            if message:
                self._serve_request(message, int(context_id or 0))
            elif self.dul.to_user_queue.queue and self._has_ended():
                continue
            elif not self.dul.is_alive():
                self.kill()
            elif self.dul.idle_timer_expired():
                log.info("association of %s aborted: it was idle", self.requestor.address)
                self.abort()
                self.kill()
            else:
                self.dul.read_until(self._has_work, self.dul._idle_timer.remaining)

    def _has_ended(self) -> bool:
        """End the association if that is what waits for its user."""
        if self.is_established and self.acse.is_release_requested():
            self._release()
        elif self.acse.is_aborted():
            self._end_aborted()
        return self._kill

    def _has_work(self) -> bool:
        return bool(self.dimse.msg_queue.queue or self.dul.to_user_queue.queue or self._kill)

    def _release(self) -> None:
        """Answer the peer's A-RELEASE-RQ (PS3.7 D.3.2)."""
        if not self.dul.may_be_released():
            self.kill()
            return
        self._sent_release = True
        if not self.dul.answer_release():
            self.acse.send_release(is_response=True)
        self.is_released, self.is_established = True, False
        evt.trigger(self, evt.EVT_RELEASED, {})
        self.kill()

    def _end_aborted(self) -> None:
        self.dul.receive_pdu(wait=False)  # EVT_ACSE_RECV
        self.is_aborted, self.is_established = True, False
        evt.trigger(self, evt.EVT_ABORTED, {})
        self.kill()


class _Passed(threading.Event):
    """A point that pynetdicom's threads wait for each other at; without them it is always passed."""

    def set(self) -> None:
        """It is already."""

    def clear(self) -> None:
        """Nobody has to wait."""

    def is_set(self) -> bool:
        """Always."""
        return True

    def wait(self, timeout: float | None = None) -> bool:
        """Not at all."""
        return True


PASSED = _Passed()  # for all associations: an event takes 2 us to make


def is_direct(association: Any) -> bool:
    """Whether an association's upper layer reads only when it is asked to."""
    return isinstance(association.dul, DirectUpperLayer)
