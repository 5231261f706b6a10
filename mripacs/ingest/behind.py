"""Compressing behind the acknowledgement: what waits in the store is compressed, proved and written as instances.

An object is acknowledged when its received bytes are durable, if the backlog has room, and compressed when the codec
processes come to it. Readers of instances have what they would miss settled first. Everything that waits is in the
database, so a kill loses nothing: whoever starts next goes on. Several processes may work on the same object; one of
them writes it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mripacs.core import metrics
from mripacs.core.errors import ConflictError, MripacsError, StoreError, StoreUnavailableError
from mripacs.core.model import (
    Decision,
    Disposition,
    IndexAttributes,
    InstanceIdentity,
    ReceivedObject,
    Tier,
    WaitingObject,
)
from mripacs.core.settings import ArchiveSettings, LimitSettings
from mripacs.ingest.coding import Coding
from mripacs.ingest.compress import GivenOut
from mripacs.ingest.inspection import Inspected, inspect
from mripacs.ingest.policy import Policy
from mripacs.ingest.receipts import receipt_of, tell
from mripacs.ingest.room import Room
from mripacs.store import Store
from mripacs.store.settling import Settled

log = logging.getLogger(__name__)

POLL_S = 0.25  # how soon what the web process took is seen; a look takes 0.2 ms
ABANDONED_S = 60.0  # what waits longer than that may be of a node that is no more
# While a study comes in, its sender gets the processor: four associations of 50 instances took 4.3 ms each with codec
# processes beside them, 2.9 without. A quarter of the backlog may gather so; it is compressed in a second or two.
GIVES_WAY_S = 0.3
GIVES_WAY_UP_TO = 0.25
IDLE_S = 5.0  # without anything that waits, before the space of what waited is given back
RETRY_S = 10.0  # until an object whose writing failed is tried again
IN_FLIGHT_PER_WORKER = 2  # objects under way for each codec process: one coded, one written

MOST_TOGETHER = 4  # objects that a codec process is given at once
TOGETHER = 16  # objects written in one transaction
GATHER_S = 0.05  # how long a coded object waits for others to be written with
MOST_CODED = 64  # that are held while the database is slow


@dataclass(slots=True, eq=False)
class _Held:
    """A waiting object that this process works on."""

    number: int
    waiting: WaitingObject | None = None  # None: in the database only
    inspected: Inspected | None = None
    coded: Settled | None = None
    given_out: GivenOut | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    error: MripacsError | None = None


class Behind:
    """The backlog of one archive. Thread-safe. Only after `start` it works by itself, else when readers need it."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        coding: Coding,
        settings: ArchiveSettings,
        limits: LimitSettings,
        owner: str,
        settled: Callable[[InstanceIdentity, ReceivedObject, GivenOut | None], None],
    ) -> None:
        """owner : names the node that compresses what is taken. settled : told of each object that was written."""
        self._store = store
        self._policy = policy
        self._coding = coding
        self._settings = settings
        self._limits = limits
        self._owner = owner
        self._settled = settled
        self._room = Room(store, settings)
        self._changed = threading.Condition()
        self._held: dict[int, _Held] = {}
        self._queue: deque[_Held] = deque()
        self._coded: list[_Held] = []
        self._readers = 0
        self._taken = -math.inf  # when the last object came
        self._failed: dict[int, float] = {}  # when they are tried again, by the monotonic clock
        self._closed = self._all_coded = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Go on with what an earlier run left, and with what comes."""
        count = max(1, IN_FLIGHT_PER_WORKER * self._coding.workers.count)
        self._threads = [
            threading.Thread(target=self._work, name=f"compress {number}", daemon=True) for number in range(count)
        ]
        self._threads += [
            threading.Thread(target=target, name=f"compress {name}", daemon=True)
            for name, target in (("look", self._look), ("write", self._write))
        ]
        for thread in self._threads:
            thread.start()
        metrics.WAITING.set_function(self._count)

    def close(self) -> None:
        """Finish what is in a codec process; the rest waits for the next start."""
        with self._changed:
            self._closed = True
            left, self._queue = self._queue, deque()
            self._changed.notify_all()
        for held in left:
            held.error = StoreUnavailableError("the node is stopping")
            held.ended.set()
        for thread in self._threads[:-1]:
            thread.join()
        with self._changed:
            self._all_coded = True
            self._changed.notify_all()
        if self._threads:
            self._threads[-1].join()
            self._store.free_space()

    def take(self, received: ReceivedObject, inspected: Inspected) -> bool:
        """Keep an object durably, to be compressed later; False when there is no room or its UID is known.

        Raises StoreError and its leaves; then nothing of it is kept.
        """
        if self._settings.acknowledge != "received" or not self._room.take(len(received.dataset)):
            return False
        kept = self._store.waiting.add(received, inspected.attributes, self._owner)
        if kept is None:
            return False
        number, received_at = kept
        self._taken = time.monotonic()
        if self._threads:
            self._enqueue(_Held(number, WaitingObject(number, received, received_at), inspected))
        return True

    def settle(self, numbers: Sequence[int]) -> None:
        """Return when none of these objects waits any longer; they go before others.

        Damaged ones are left out, and logged. Raises StoreError when the database fails.
        """
        if not self._threads:
            wanted = [_Held(number) for number in numbers]
            for held in wanted:
                self._code([held])
                self._settle([held])
        else:
            wanted = [self._promote(number) for number in numbers]
            with self._reader():
                for held in wanted:
                    held.ended.wait()
        for held in wanted:
            if isinstance(held.error, StoreError):
                raise held.error

    @contextmanager
    def _reader(self) -> Iterator[None]:
        """While somebody waits for instances, what was coded is written at once."""
        with self._changed:
            self._readers += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1

    def _enqueue(self, held: _Held) -> None:
        with self._changed:
            if held.number not in self._held:  # else a look at the database was faster
                self._held[held.number] = held
                self._queue.append(held)
                self._changed.notify_all()

    def _promote(self, number: int) -> _Held:
        with self._changed:
            if self._closed:
                raise StoreUnavailableError("the node is stopping")
            held = self._held.get(number)
            if held is None:
                held = self._held[number] = _Held(number)
            elif held in self._queue:
                self._queue.remove(held)
            else:  # under way
                return held
            self._queue.appendleft(held)
            self._changed.notify_all()
        return held

    def _work(self) -> None:
        while some := self._next():
            self._code(some)
            with self._changed:
                self._coded += some
                self._changed.notify_all()

    def _next(self) -> list[_Held]:
        """Some objects for one codec process: one where few wait; none at the end."""
        with self._changed:
            while not (self._closed or (self._queue and len(self._coded) < MOST_CODED and self._may_begin())):
                self._changed.wait(GIVES_WAY_S if self._queue else None)
            share = max(1, min(MOST_TOGETHER, len(self._queue) // len(self._threads)))
            return [] if self._closed else [self._queue.popleft() for _ in range(share)]

    def _may_begin(self) -> bool:
        """Not while objects come one after the other, unless many wait or a reader does."""
        quiet = time.monotonic() - self._taken >= GIVES_WAY_S
        return quiet or self._readers > 0 or len(self._held) >= self._settings.backlog_objects * GIVES_WAY_UP_TO

    def _write(self) -> None:
        while coded := self._gather():
            try:
                self._settle(coded)
            except Exception as error:  # noqa: BLE001 - as in `_code`
                for held in coded:
                    self._failed_with(held, StoreError(f"unexpected {type(error).__name__}"))
            with self._changed:
                for held in coded:
                    self._held.pop(held.number, None)
            for held in coded:
                held.ended.set()

    def _gather(self) -> list[_Held]:
        """What was coded, once that is enough for a transaction, or has waited long enough, or a reader waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._all_coded or self._coded)
            self._changed.wait_for(lambda: self._closed or self._readers or len(self._coded) >= TOGETHER, GATHER_S)
            coded, self._coded = self._coded, []
            self._changed.notify_all()
            return coded

    def _code(self, some: Sequence[_Held], *, lossless: str = "") -> None:
        """Compress and prove; what fails waits on, and is told.

        lossless : why they must not be served under other UIDs.
        """
        try:
            ready = [(held, *opened) for held in some if (opened := self._opened(held, lossless))]
            coded = self._coding.compress_many([(waiting.received, decision) for _, waiting, _, decision in ready])
            for (held, waiting, attributes, _), compressed in zip(ready, coded, strict=True):
                new = self._coding.instance(waiting.received, attributes, compressed)
                held.given_out = compressed.given_out
                held.coded = Settled(held.number, new, waiting.received_at)
        except MripacsError as error:
            for held in some:
                self._failed_with(held, error)
        except Exception as error:  # noqa: BLE001 - a defect must not end the thread; the objects stay acknowledged
            for held in some:
                self._failed_with(held, StoreError(f"unexpected {type(error).__name__}"))

    def _opened(self, held: _Held, lossless: str) -> tuple[WaitingObject, IndexAttributes, Decision] | None:
        """The object, and what the policy wants of it; None when it waits no longer, or cannot be read."""
        try:
            held.waiting = held.waiting or self._store.waiting.load(held.number)
            if held.waiting is None:
                return None
            found = held.inspected or inspect(held.waiting.received, self._policy, self._limits)
            decision = found.decision
        except MripacsError as error:
            self._failed_with(held, error)
            return None
        if lossless:
            reason = f"{decision.reason}; {lossless}"
            decision = replace(decision, tier=Tier.LOSSLESS, target=None, reason=reason)
        return held.waiting, found.attributes, decision

    def _settle(self, coded: Sequence[_Held]) -> None:
        """Write what was coded."""
        ready = [(held, held.coded) for held in coded if held.coded is not None]
        outcomes = self._store.settling.settle([settled for _, settled in ready])
        for (held, settled), outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, ConflictError) and settled.new.certificate.lossy:
                # Its derived UID names something else: it stays what it was.
                held.coded = None
                self._code([held], lossless=str(outcome))
                self._settle([held])
            elif isinstance(outcome, MripacsError):
                self._failed_with(held, outcome)
            elif outcome is not None and held.waiting is not None:
                self._failed.pop(held.number, None)
                tell(held.waiting.received, receipt_of(Disposition.STORED, outcome.identity))
                self._settled(outcome.identity, held.waiting.received, held.given_out)

    def _failed_with(self, held: _Held, error: MripacsError) -> None:
        log.error("an acknowledged object is not compressed yet: %s", error)
        metrics.ERRORS.labels("compress", type(error).__name__).inc()
        held.error = error
        self._failed[held.number] = time.monotonic() + RETRY_S

    def _look(self) -> None:
        """Find what waits and is not held: of an earlier run at first, then of the web process, at times of others."""
        numbers: Callable[[], list[int]] = self._store.waiting.numbers
        looked_for_others = busy = time.monotonic()
        tidy = True
        while not self._closed:
            try:
                self._hold(numbers())
                if self._held:
                    busy, tidy = time.monotonic(), False
                elif not tidy and time.monotonic() - busy > IDLE_S:
                    self._store.free_space()
                    tidy = True
            except Exception as error:  # noqa: BLE001 - as in `_code`; it looks again
                why = str(error) if isinstance(error, MripacsError) else f"unexpected {type(error).__name__}"
                log.error("what waits to be compressed cannot be read: %s", why)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, POLL_S)
            numbers = self._of_this_node
            if time.monotonic() - looked_for_others > ABANDONED_S:
                numbers, looked_for_others = self._abandoned, time.monotonic()

    def _hold(self, numbers: Iterable[int]) -> None:
        now = time.monotonic()
        with self._changed:
            for number in numbers:
                if number not in self._held and self._failed.get(number, now) <= now:
                    self._held[number] = _Held(number)
                    self._queue.append(self._held[number])
                    self._taken = now
            self._changed.notify_all()

    def _count(self) -> float:
        try:
            return self._store.waiting.totals()[0]
        except MripacsError:
            return math.nan

    def _of_this_node(self) -> list[int]:
        return self._store.waiting.numbers(self._owner)

    def _abandoned(self) -> list[int]:
        before = datetime.now(UTC) - timedelta(seconds=ABANDONED_S)
        return self._store.waiting.numbers(before=before.isoformat(timespec="microseconds"))
