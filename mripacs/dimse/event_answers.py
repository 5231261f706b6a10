"""The answer that an event report waits for, told from those that nobody waits for (PS3.7 10.3.1).

A peer may answer after we gave up, twice, or unasked. Taken for the next report's, such an answer would end a
commitment that the peer refused; kept, each would cost memory that nothing bounds.
"""

from __future__ import annotations

import itertools
import queue
from typing import Any, NamedTuple

from pynetdicom.dimse_primitives import N_EVENT_REPORT

from mripacs.dimse.light_queue import LightQueue

LARGEST_MESSAGE_ID = 65535  # a US (PS3.7 E.1)


class Awaited(NamedTuple):
    """A report under way: what its answer names, and where the answer's status goes."""

    message_id: int
    context_id: int
    status: queue.SimpleQueue[int]


class EventAnswers:
    """The answers of one association. One report at a time is under way; answers come in any thread."""

    def __init__(self) -> None:
        self._message_ids = itertools.cycle(range(1, LARGEST_MESSAGE_ID + 1))
        self._awaited: Awaited | None = None

    def expect(self, context_id: int) -> Awaited:
        """Wait from here for the answer to a report that is about to be sent, under the message ID given."""
        self._awaited = awaited = Awaited(next(self._message_ids), context_id, queue.SimpleQueue())
        return awaited

    def forget(self) -> None:
        """Nobody waits any longer."""
        self._awaited = None

    def take(self, answer: N_EVENT_REPORT, context_id: int) -> None:
        """Tell the status of the answer that is awaited, once; drop every other."""
        awaited, status = self._awaited, answer.Status
        if awaited is None or status is None or awaited[:2] != (answer.MessageIDBeingRespondedTo, context_id):
            return
        self._awaited = None
        awaited.status.put(status)


class _WithoutEventAnswers:
    """Of a queue of messages: the answers to event reports go to who sent these."""

    def __init__(self) -> None:
        super().__init__()
        self.event_answers = EventAnswers()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a context ID and a message."""
        context_id, message = item
        if isinstance(message, N_EVENT_REPORT) and message.is_valid_response:
            self.event_answers.take(message, context_id)
        else:
            super().put(item, block, timeout)  # type: ignore[misc]


class MessageQueue(_WithoutEventAnswers, queue.Queue[Any]):
    """Messages for the association's own thread, which may wait for them."""


class DirectMessageQueue(_WithoutEventAnswers, LightQueue):
    """Messages for a thread that reads them off the connection itself."""
