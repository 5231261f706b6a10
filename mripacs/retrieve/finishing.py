"""Instances as they are natively given out: found at hand, or read, decoded and checked, and at hand from then on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mripacs.core.errors import DamagedInstanceError, MripacsError, UnknownInstanceError, WorkerLostError
from mripacs.core.model import InstanceIdentity, Outgoing, StoredInstance
from mripacs.retrieve.rebuild import rebuild_with_frames
from mripacs.retrieve.recent import Finished, NativeFrames, Recent, native_frames
from mripacs.store import Store

Outcome = Finished | MripacsError
Run = Callable[[Callable[[Any], Any], Any], Any]  # calls a function of one argument, perhaps in another process


def run_here(function: Callable[[Any], Any], job: Any) -> Any:
    """Call `function(job)` in the caller's thread."""
    return function(job)


class _Rebuilt(NamedTuple):
    """What a codec process gives back: the data set, and where its frames are."""

    transfer_syntax: str
    dataset: bytes
    frames: NativeFrames | None


@dataclass(frozen=True, slots=True)
class Finishing:
    """Reads from one store. Thread-safe. `run` decodes where several are read at once (`Workers.run` of ingest)."""

    store: Store
    recent: Recent = field(default_factory=Recent)
    run: Run = run_here
    one_by_one: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def identify(self, uid: str) -> InstanceIdentity:
        """The instance served or received under `uid`. Raises UnknownInstanceError."""
        identity = self.store.identify(uid)
        if identity is None:
            raise UnknownInstanceError(f"no instance {uid} is stored")
        return identity

    def load(self, identity: InstanceIdentity) -> StoredInstance:
        """Its stored bytes. Raises UnknownInstanceError, DamagedInstanceError."""
        return self.store.load(identity.sop_instance_uid)

    def finish(self, identity: InstanceIdentity) -> Finished:
        """The instance of an identity just read from its row. Raises UnknownInstanceError, DamagedInstanceError."""
        return self.recent.get(identity) or self._decoded(self.load(identity))

    def finish_many(self, identities: Sequence[InstanceIdentity]) -> list[Outcome]:
        """Instances that are not at hand, in their order, each finished or its error.

        They are read by one statement and decoded in one job, so that what an instance does to a decoder happens to a
        codec process, never to the caller's.
        """
        uids = [identity.sop_instance_uid for identity in identities]
        try:
            loaded = self.store.load_many(uids)
        except MripacsError as error:
            return [error] * len(uids)
        stored = [each for each in loaded.values() if isinstance(each, StoredInstance)]
        finished = dict(zip((each.identity.sop_instance_uid for each in stored), self._rebuilt(stored), strict=True))
        damaged = {uid: each for uid, each in loaded.items() if isinstance(each, DamagedInstanceError)}
        found: dict[str, Outcome] = {**finished, **damaged}
        return [found[uid] if uid in found else self._by_itself(uid) for uid in uids]

    def _by_itself(self, uid: str) -> Outcome:
        """What is under another UID by now, or gone."""
        try:
            return self.finish(self.identify(uid))
        except MripacsError as error:
            return error

    def _rebuilt(self, stored: Sequence[StoredInstance]) -> list[Outcome]:
        if not stored:
            return []
        try:
            rebuilt: list[_Rebuilt | None] = self.run(_rebuild_many, stored)
        except WorkerLostError:
            return [self._suspected(each) for each in stored]
        return [self._kept(each, found) for each, found in zip(stored, rebuilt, strict=True)]

    def _suspected(self, stored: StoredInstance) -> Outcome:
        """One of those that were with a process when it died, again: alone, so that what kills harms no other."""
        try:
            with self.one_by_one:
                (rebuilt,) = self.run(_rebuild_many, [stored])
        except WorkerLostError as error:
            return error
        return self._kept(stored, rebuilt)

    def _kept(self, stored: StoredInstance, rebuilt: _Rebuilt | None) -> Outcome:
        if rebuilt is None:
            return self._decoded_or_error(stored)
        identity = stored.identity
        outgoing = Outgoing(identity.sop_class_uid, identity.sop_instance_uid, rebuilt.transfer_syntax, rebuilt.dataset)
        finished = Finished(identity, outgoing, rebuilt.frames)
        self.recent.keep(finished)
        return finished

    def _decoded_or_error(self, stored: StoredInstance) -> Outcome:
        """Here: trained tables that a payload names are asked of the database, which codec processes do not have."""
        try:
            return self._decoded(stored)
        except MripacsError as error:
            return error

    def _decoded(self, stored: StoredInstance) -> Finished:
        finished = finished_of(stored)
        self.recent.keep(finished)
        return finished


def finished_of(stored: StoredInstance) -> Finished:
    """A stored instance decoded, checked and rebuilt. Raises DamagedInstanceError."""
    outgoing, frames = rebuild_with_frames(stored)
    return Finished(stored.identity, outgoing, None if frames is None else native_frames(outgoing, frames))


def _rebuild_many(stored: Sequence[StoredInstance]) -> list[_Rebuilt | None]:
    """In a codec process: `finished_of` each, None for one that raises an error, which the caller meets again."""
    return [_rebuild(each) for each in stored]


def _rebuild(stored: StoredInstance) -> _Rebuilt | None:
    try:
        finished = finished_of(stored)
    except MripacsError:
        return None
    return _Rebuilt(finished.outgoing.transfer_syntax, finished.outgoing.dataset, finished.frames)
