"""Many instances one after the other: while one is sent, those behind it are read and decoded, a bounded number ahead.

What is at hand (`retrieve.recent`) is taken from there, in the caller's thread. At the first instance that is not,
batches of those that follow go to a few threads, each one statement of the database and one job of a codec process.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass

from mripacs.core import metrics
from mripacs.core.errors import MripacsError, StoreUnavailableError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity, InstanceSelection, Outgoing
from mripacs.retrieve.fetch import Retrieve
from mripacs.retrieve.finishing import Outcome

PAGE = 64  # identities that are looked up again by one statement, 0.04 ms each
FRESH_S = 1.0  # how long a looked up row is believed; then it is asked for again: it may have been deleted
BATCH = 4  # instances of one statement and one job: less waiting for each other, fewer of both
MAX_BATCH_BYTES = 4 << 20  # of data sets as they were received: a batch ends with the instance that is too much


@dataclass(slots=True)
class Fetched:
    """An instance whose turn has come: finished, or what went wrong with it. It lets go of the bytes that it gives."""

    identity: InstanceIdentity
    retrieve: Retrieve
    outcome: Outcome | None  # None: given out
    waited_s: float  # for the outcome

    def encoded(self, accepted: Collection[str] | None = None) -> Outgoing:
        """Its bytes in one of the accepted transfer syntaxes, or as it is natively given out; once.

        Raises UnknownInstanceError, DamagedInstanceError, TranscodeError, StoreError.
        """
        started = time.perf_counter() - self.waited_s
        outcome, self.outcome = self.outcome, None
        with metrics.counting_errors("fetch"):
            if outcome is None:
                raise UnknownInstanceError(f"{self.identity.sop_instance_uid} was given out already")
            if isinstance(outcome, MripacsError):
                raise outcome
            outgoing = self.retrieve.encode(outcome, accepted)
        metrics.FETCH_SECONDS.observe(time.perf_counter() - started)
        metrics.FETCHED_BYTES.inc(len(outgoing.dataset))
        return outgoing


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """Reads by `retrieve`, ahead on the threads of `executor`, at most `batches` batches at once for each reader."""

    retrieve: Retrieve
    executor: Executor
    batches: int

    def read(self, identities: Sequence[InstanceIdentity]) -> Iterator[Fetched]:
        """The instances in their order, each when it is asked for. Close the iterator to stop reading ahead.

        identities : as just looked up. An instance that is deleted while others are given out is an error of its own.
        """
        looked_up = time.monotonic()
        for start in range(0, len(identities), PAGE):
            page = list(identities[start : start + PAGE])
            gone: frozenset[int] = frozenset()
            if time.monotonic() - looked_up > FRESH_S:
                page, gone = self._looked_up_again(page)
            yield from self._page(page, gone)

    def _looked_up_again(self, page: list[InstanceIdentity]) -> tuple[list[InstanceIdentity], frozenset[int]]:
        """The page as its rows say now, and the indices of what is not there any more."""
        uids = tuple(identity.sop_instance_uid for identity in page)
        known: dict[str, InstanceIdentity] = {}
        for identity in self.retrieve.select(InstanceSelection(sop_instance_uids=uids)):
            known |= {identity.original_sop_instance_uid: identity, identity.sop_instance_uid: identity}
        gone = frozenset(index for index, uid in enumerate(uids) if uid not in known)
        return [known.get(identity.sop_instance_uid, identity) for identity in page], gone

    def _page(self, page: list[InstanceIdentity], gone: frozenset[int]) -> Iterator[Fetched]:
        window = _Window(self, page, gone)
        try:
            for index, identity in enumerate(page):
                started = time.perf_counter()
                outcome = window.take(index)
                yield Fetched(identity, self.retrieve, outcome, time.perf_counter() - started)
        finally:
            window.cancel()


class _Window:
    """What is under way of a page. For one thread."""

    def __init__(self, ahead: ReadAhead, page: Sequence[InstanceIdentity], gone: frozenset[int]) -> None:
        self._ahead = ahead
        self._page = page
        self._gone = gone
        self._looked = 0  # up to here each instance was at hand, is under way, or was given out
        self._under_way: dict[int, tuple[Future[list[Outcome]], int]] = {}  # by index: its batch, its place there

    def take(self, index: int) -> Outcome:
        """The outcome of the next instance."""
        identity = self._page[index]
        if index in self._gone:
            return UnknownInstanceError(f"{identity.sop_instance_uid} was deleted meanwhile")
        if index not in self._under_way:
            found = self._ahead.retrieve.recent.get(identity)
            if found is not None:
                return found
            self._begin(index)
        batch, place = self._under_way.pop(index)
        self._fill()
        try:
            return batch.result()[place]
        except CancelledError:
            return _closing()

    def cancel(self) -> None:
        """Begin nothing more; what runs ends by itself."""
        for batch, _ in self._under_way.values():
            batch.cancel()

    def _begin(self, index: int) -> None:
        """Read an instance that is not at hand, and those behind it."""
        self._looked = max(self._looked, index + 1)
        self._submit([index])  # alone: somebody waits for it
        self._fill()

    def _fill(self) -> None:
        """Keep as many batches under way as there may be."""
        while len({id(batch) for batch, _ in self._under_way.values()}) < self._ahead.batches:
            missing = self._missing(BATCH)
            if not missing:
                return
            self._submit(missing)

    def _missing(self, count: int) -> list[int]:
        """The next instances that are not at hand, `count` at most, and of bytes that may be in memory together."""
        found: list[int] = []
        room = MAX_BATCH_BYTES
        while self._looked < len(self._page) and len(found) < count and room > 0:
            index, identity = self._looked, self._page[self._looked]
            self._looked += 1
            if index not in self._gone and not self._ahead.retrieve.recent.holds(identity):
                found.append(index)
                room -= identity.certificate.received_bytes
        return found

    def _submit(self, indices: list[int]) -> None:
        job = self._ahead.retrieve.finishing.finish_many
        try:
            batch = self._ahead.executor.submit(job, [self._page[index] for index in indices])
        except RuntimeError as error:  # what an executor says that was shut down
            raise _closing() from error
        self._under_way |= {index: (batch, place) for place, index in enumerate(indices)}


def _closing() -> StoreUnavailableError:
    return StoreUnavailableError("the archive is being closed")
