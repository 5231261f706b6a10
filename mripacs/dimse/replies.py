"""Replies reach the thread that asked, on associations that pynetdicom requests for a C-MOVE of ours as a plug-in.

pynetdicom's reactor pauses while a request is under way, but a thread that is switched out between its waking up and
its saying so takes the reply for a request of the peer's, drops it ("Received unexpected C-STORE service message"), and
the asker waits for its whole time-out: 1 to 3 of 192 C-STOREs on two cores under a load of 10. The seams are
`DIMSEServiceProvider.get_msg`, which the reactor alone calls without blocking, and `Association._reactor_checkpoint`.
"""

from __future__ import annotations

from typing import Any

from pynetdicom import evt

NOTHING = (None, None)


def keep_replies(event: evt.Event) -> None:
    """On EVT_CONN_OPEN, as requestor: the reactor gets no message while a request is under way."""
    association, plain = event.assoc, event.assoc.dimse.get_msg

    def get_msg(block: bool = False) -> Any:
        if not block and not association._reactor_checkpoint.is_set():
            return NOTHING
        return plain(block)

    association.dimse.get_msg = get_msg


KEEP_REPLIES = (evt.EVT_CONN_OPEN, keep_replies)
