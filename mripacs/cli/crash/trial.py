"""One trial: senders send, the server is killed and started again, and all that it acknowledged must be there whole."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from mripacs.cli.crash.comparison import Likeness, compare
from mripacs.cli.crash.copies import Copies, Sample
from mripacs.cli.crash.evidence import Evidence, Source
from mripacs.cli.crash.ledger import Ledger
from mripacs.cli.crash.server import Server, start_and_wait
from mripacs.core.errors import DamagedInstanceError, PeerError
from mripacs.dimse import client

MAX_DELAY_S = 0.1  # after an answer, before the kill: longer than most instances take, so every moment is met

Send = Callable[[client.Peer, Sequence[Sample], Ledger], None]
Kill = Callable[[Server, Ledger, Random], None]
Inspect = Callable[[Ledger], Sequence["Loss"]]


@dataclass(frozen=True, slots=True)
class Loss:
    """A promise that was not kept.

    kind : "missing", "altered" or "unreadable", of an acknowledged instance; "partial", of one that was not and is
    there, but not whole; "miscounted", of a study.
    """

    kind: str
    uid: str
    detail: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What one kill showed."""

    offered: int
    acknowledged: int
    refused: dict[str, str]  # status and comment by UID
    unacknowledged_present: int  # committed, but the answer was lost: the sender will repeat them
    likeness: Counter[str]
    start_s: float  # from the start to the first C-ECHO
    losses: tuple[Loss, ...]


@dataclass(slots=True)
class CrashTest:
    """A server and what is done to it; `run_trial` as often as wished, then `look_again`."""

    peer: client.Peer
    server: Server
    source: Source
    copies: Copies
    random: Random
    send: Sequence[Send]  # one after the other, sender by sender
    kill: Kill
    inspect: Inspect | None = None  # what only the server's owner can look at, after each start
    senders: int = 4
    objects: int = 10  # of each sender in each trial
    rel_error: float = 0.05
    start_timeout_s: float = 120.0
    acknowledged: dict[str, Sample] = field(default_factory=dict)  # in all trials

    def start(self) -> float:
        """Start the server; seconds until it answers a C-ECHO. Raises PeerError."""
        return start_and_wait(self.server, self.peer, self.start_timeout_s)

    def run_trial(self) -> Trial:
        """Send to the running server, kill it on the way, start it and look. Raises PeerError when it stays down."""
        ledger = Ledger(self.copies.take(self.senders * self.objects))
        self._send_and_kill(ledger)
        seconds = self.start()
        self.acknowledged.update(ledger.acknowledged)
        with self.source.open() as evidence:
            found = _Findings(evidence, self.rel_error)
            found.look_at(ledger.offered.values(), ledger.acknowledged)
            found.count(ledger.offered.values())
        if self.inspect is not None:
            found.losses += self.inspect(ledger)
        return Trial(
            offered=len(ledger.offered),
            acknowledged=len(ledger.acknowledged),
            refused=ledger.refused,
            unacknowledged_present=len(found.present - ledger.acknowledged.keys()),
            likeness=found.likeness,
            start_s=seconds,
            losses=tuple(found.losses),
        )

    def look_again(self) -> list[Loss]:
        """What is wrong with the instances acknowledged in all trials, after all kills."""
        with self.source.open() as evidence:
            found = _Findings(evidence, self.rel_error)
            found.look_at(self.acknowledged.values(), self.acknowledged)
        return found.losses

    def _send_and_kill(self, ledger: Ledger) -> None:
        samples = list(ledger.offered.values())
        threads = [
            threading.Thread(
                target=self.send[number % len(self.send)], args=(self.peer, samples[number :: self.senders], ledger)
            )
            for number in range(self.senders)
        ]
        for thread in threads:
            thread.start()
        ended = threading.Thread(target=_end, args=(ledger, threads))
        ended.start()
        try:
            self.kill(self.server, ledger, self.random)
        finally:
            ended.join()


def _end(ledger: Ledger, threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    ledger.end()


@dataclass(slots=True)
class _Findings:
    """What is there and what is wrong with it."""

    evidence: Evidence
    rel_error: float
    present: set[str] = field(default_factory=set)
    likeness: Counter[str] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)

    def look_at(self, samples: Iterable[Sample], acknowledged: dict[str, Sample]) -> None:
        """Fetch each sample; acknowledged ones must be there, the others need not, but if so then whole."""
        for sample in samples:
            uid = sample.sop_instance_uid
            loss = self._look_at(sample, uid in acknowledged)
            if loss is not None:
                self.losses.append(loss)

    def count(self, samples: Iterable[Sample]) -> None:
        """Compare the server's counts with what was fetched whole."""
        self.losses += [Loss("miscounted", "", words) for words in self.evidence.miscounts(samples, self.present)]

    def _look_at(self, sample: Sample, acknowledged: bool) -> Loss | None:
        uid = sample.sop_instance_uid
        try:
            outgoing = self.evidence.fetch(sample)
        except DamagedInstanceError as error:
            return Loss("unreadable" if acknowledged else "partial", uid, str(error))
        if outgoing is None:
            return Loss("missing", uid, "it was acknowledged and is not there") if acknowledged else None
        likeness = compare(sample, outgoing, self.rel_error)
        self.likeness[likeness] += 1
        if likeness is Likeness.ALTERED:
            return Loss("altered" if acknowledged else "partial", uid, "it is not what was sent")
        self.present.add(uid)
        return None


def send_with_own_association(peer: client.Peer, samples: Sequence[Sample], ledger: Ledger) -> None:
    """Send the samples over one association; ends when they are sent or the server is gone."""
    try:
        for result in client.send(peer, [sample.received() for sample in samples]):
            ledger.answer(result.sop_instance_uid, result.status, result.comment, accepted=result.accepted)
    except PeerError:
        return  # killed before the association, or in it: what was not answered is not acknowledged


def kill_at_random(server: Server, ledger: Ledger, random: Random) -> None:
    """Kill after a random number of answers and a random part of MAX_DELAY_S."""
    ledger.wait_for(random.randrange(len(ledger.offered)))
    time.sleep(random.uniform(0, MAX_DELAY_S))
    server.kill()
