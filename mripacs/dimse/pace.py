"""How fast one address may go: associations beyond its rate are rejected for now, requests beyond it wait.

Most senders take a failed C-STORE for the end of the study, and every sender waits for an answer; so a request that
comes too early is answered later, which slows its sender down and costs nothing. An association can be refused as
transient (PS3.8 Table 9-21), which senders with a queue answer by trying again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from pynetdicom import evt

from mripacs.dimse import statuses
from mripacs.dimse.direct import is_direct

Handler = Callable[[evt.Event], Any]

BURST_S = 5.0  # what an address may save up while it is silent
MAX_WAIT_S = 10.0  # of one request: DCMTK and scanners give up after 30 to 60 s without an answer
POLL_S = 0.1  # how soon the end of an association is seen by a request that waits
MAX_ADDRESSES = 4096  # remembered at once: those that are silent longest are forgotten

DATA_TRANSFER = "Sta6"  # of the upper layer's state machine (PS3.8 Table 9-7)
NOBODY_LISTENS = {evt.EVT_N_ACTION: (0x0213, None)}  # what a handler returns that has nobody to answer

GENERATORS = frozenset({evt.EVT_C_FIND, evt.EVT_C_GET, evt.EVT_C_MOVE})
PACED = GENERATORS | {evt.EVT_C_ECHO, evt.EVT_C_STORE, evt.EVT_N_ACTION}


class Rate:
    """A rate for each address, over all its associations (a leaky bucket: ITU-T I.371's virtual scheduling).

    per_minute : how many; 0 is any number. Thread-safe.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._expected: dict[str, float] = {}  # by address, when its next one would be due at the exact rate
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        """Whether one more may come now; one that may not does not count."""
        with self._lock:
            return self._wait_s(address) == 0.0 and self._count(address)

    def reserve(self, address: str) -> float:
        """Count one more; gives the seconds that it must wait, 10 at most."""
        with self._lock:
            wait_s = min(self._wait_s(address), MAX_WAIT_S)
            self._count(address)
            return wait_s

    def _wait_s(self, address: str) -> float:
        early = self._expected.get(address, 0.0) - max(BURST_S, self._interval_s) - self._clock()
        return max(0.0, early + self._interval_s) if self._interval_s else 0.0

    def _count(self, address: str) -> bool:
        if self._interval_s:
            now = self._clock()
            expected = max(self._expected.pop(address, now), now) + self._interval_s
            self._expected[address] = min(expected, now + BURST_S + self._interval_s + MAX_WAIT_S)
            if len(self._expected) > MAX_ADDRESSES:
                del self._expected[next(iter(self._expected))]
        return True


def paced(handlers: list[tuple[Any, Handler]], rate: Rate) -> list[tuple[Any, Handler]]:
    """The handlers, those of requests waiting for their turn before they do anything."""
    return [(event, _paced(event, handler, rate) if event in PACED else handler) for event, handler in handlers]


def _paced(kind: Any, handler: Handler, rate: Rate) -> Handler:
    def answer(event: evt.Event) -> Any:
        return handler(event) if _wait(event.assoc, rate) else NOBODY_LISTENS.get(kind, statuses.OUT_OF_RESOURCES)

    def answer_each(event: evt.Event) -> Generator[Any, None, None]:
        if _wait(event.assoc, rate):
            yield from handler(event)

    return answer_each if kind in GENERATORS else answer


def _wait(association: Any, rate: Rate) -> bool:
    """Wait for the request's turn; whether its association lives then. One that has ended is not worth the work."""
    deadline = time.monotonic() + rate.reserve(association.requestor.address)
    machine = association.dul.state_machine
    while (left := deadline - time.monotonic()) > 0 and machine.current_state == DATA_TRANSFER:
        time.sleep(min(left, POLL_S))
        if is_direct(association):
            association.dul.look()  # nobody else reads that the peer has gone
    return bool(machine.current_state == DATA_TRANSFER)
