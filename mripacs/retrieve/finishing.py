"""Instances as they are natively given out: found at hand, or read, decoded and checked, and at hand from then on."""

from __future__ import annotations

from dataclasses import dataclass

from mripacs.core.errors import DamagedInstanceError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity
from mripacs.retrieve.rebuild import rebuild_with_frames
from mripacs.retrieve.recent import Finished, Recent, native_frames
from mripacs.store import Store


@dataclass(frozen=True, slots=True)
class Finishing:
    """Reads from one store. Thread-safe."""

    store: Store
    recent: Recent

    def identify(self, uid: str) -> InstanceIdentity:
        """The instance served or received under `uid`. Raises UnknownInstanceError."""
        identity = self.store.identify(uid)
        if identity is None:
            raise UnknownInstanceError(f"no instance {uid} is stored")
        return identity

    def finish(self, identity: InstanceIdentity) -> Finished:
        """The instance of an identity just read from its row. Raises UnknownInstanceError, DamagedInstanceError."""
        if identity.quarantined:
            raise DamagedInstanceError(f"instance {identity.sop_instance_uid} was found damaged: it is in quarantine")
        return self.recent.get(identity) or self._decoded(identity.sop_instance_uid)

    def _decoded(self, uid: str) -> Finished:
        stored = self.store.load(uid)
        outgoing, frames = rebuild_with_frames(stored)
        self.recent.put(stored.identity, outgoing, frames)
        return Finished(stored.identity, outgoing, None if frames is None else native_frames(outgoing, frames))
