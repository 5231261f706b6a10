"""Instances by UID, in a transfer syntax that the peer takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mripacs.core.errors import TranscodeError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity, InstanceSelection, Outgoing, Query
from mripacs.dicom import references, transcode, transfer_syntax
from mripacs.retrieve.rebuild import rebuild_instance
from mripacs.store import Store
from mripacs.store.keys import COMPUTED, KEYS


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Reads from one store. Thread-safe."""

    store: Store
    rewrite_references: bool = False

    def find(self, query: Query) -> Iterator[dict[str, str | int]]:
        """Rows that match, by keyword, at the query's level."""
        return self.store.query(query)

    def supports(self, query: Query) -> bool:
        """Whether the store matches by every key that the query constrains or asks for."""
        return all(keyword in KEYS or keyword in COMPUTED for keyword in query.return_keywords)

    def select(self, selection: InstanceSelection) -> list[InstanceIdentity]:
        """The instances that a selection names, in a stable order; original UIDs find derived instances."""
        return self.store.select(selection)

    def identify(self, uid: str) -> InstanceIdentity:
        """The instance served or received under `uid`. Raises UnknownInstanceError."""
        identity = self.store.identify(uid)
        if identity is None:
            raise UnknownInstanceError(f"no instance {uid} is stored")
        return identity

    def fetch(self, uid: str) -> Outgoing:
        """The instance as it is natively given out. Raises UnknownInstanceError, DamagedInstanceError."""
        outgoing = rebuild_instance(self.store.load(uid))
        if not self.rewrite_references:
            return outgoing
        dataset = references.rewrite_references(outgoing.dataset, outgoing.transfer_syntax, self.store.aliases)
        return Outgoing(outgoing.sop_class_uid, outgoing.sop_instance_uid, outgoing.transfer_syntax, dataset)

    def fetch_as(self, uid: str, accepted: Collection[str]) -> Outgoing:
        """The instance in one of the accepted transfer syntaxes, the received bytes if theirs is among them.

        Raises TranscodeError when it cannot be written in any of them without loss.
        """
        outgoing = self.fetch(uid)
        for syntax in transcode.targets_for(outgoing.transfer_syntax):
            if syntax in accepted:
                dataset = transcode.transcode(outgoing.dataset, outgoing.transfer_syntax, syntax)
                return Outgoing(outgoing.sop_class_uid, outgoing.sop_instance_uid, syntax, dataset)
        raise TranscodeError(
            f"{uid} can be sent in {outgoing.transfer_syntax} or native syntaxes, the peer takes none of them"
        )


def syntaxes_of(identity: InstanceIdentity) -> tuple[str, ...]:
    """The transfer syntaxes that an instance can leave in, best first, known without reading it."""
    native = transfer_syntax.EXPLICIT_VR_LITTLE_ENDIAN
    return transcode.targets_for(identity.transfer_syntax if identity.certificate.restores_received else native)
