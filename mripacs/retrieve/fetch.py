"""Instances by UID, in a transfer syntax that the peer takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from mripacs.core.errors import TranscodeError
from mripacs.core.model import InstanceIdentity, InstanceSelection, Outgoing, Query
from mripacs.dicom import encapsulate, references, transcode, transfer_syntax
from mripacs.retrieve.finishing import Finishing
from mripacs.retrieve.images import in_streams
from mripacs.retrieve.recent import Recent
from mripacs.store import Store
from mripacs.store.keys import COMPUTED, KEYS


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Reads from one store. Thread-safe."""

    store: Store
    rewrite_references: bool = False
    recent: Recent = field(default_factory=Recent)

    @property
    def finishing(self) -> Finishing:
        """How instances are read."""
        return Finishing(self.store, self.recent)

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
        return self.finishing.identify(uid)

    def fetch(self, uid: str) -> Outgoing:
        """The instance as it is natively given out. Raises UnknownInstanceError, DamagedInstanceError."""
        return self._leave(self.finishing.finish(self.identify(uid)).outgoing)

    def fetch_as(self, uid: str, accepted: Collection[str]) -> Outgoing:
        """The instance in one of the accepted transfer syntaxes, the received bytes if theirs is among them.

        Pixels are coded anew, without loss, only for peers that take no other syntax than those of `encapsulate`.
        Raises TranscodeError when it cannot be written in any of them without loss.
        """
        identity = self.identify(uid)
        possible = syntaxes_of(identity)
        syntax = next((each for each in possible if each in accepted), None)
        if syntax is not None:
            return self._transcoded(identity, syntax)
        stream = next((each for each in accepted if each in encapsulate.STREAM_OF_SYNTAX), None)
        if stream is None or identity.certificate.source_pixel_digest is None:
            raise TranscodeError(f"{uid} can be sent in {', '.join(possible)}, the peer takes none of them")
        return in_streams(self._transcoded(identity, transfer_syntax.EXPLICIT_VR_LITTLE_ENDIAN), stream)

    def _transcoded(self, identity: InstanceIdentity, syntax: str) -> Outgoing:
        outgoing = self._leave(self.finishing.finish(identity).outgoing)
        dataset = transcode.transcode(outgoing.dataset, outgoing.transfer_syntax, syntax)
        return replace(outgoing, transfer_syntax=syntax, dataset=dataset)

    def _leave(self, outgoing: Outgoing) -> Outgoing:
        if not self.rewrite_references:
            return outgoing
        dataset = references.rewrite_references(outgoing.dataset, outgoing.transfer_syntax, self.store.aliases)
        return replace(outgoing, dataset=dataset)


def syntaxes_of(identity: InstanceIdentity) -> tuple[str, ...]:
    """The transfer syntaxes that an instance can leave in, best first, known without reading it.

    Encapsulated pixels that a worker could not decode when they came leave only as they are: decoding them here, in
    the node's own process, might end it.
    """
    certificate = identity.certificate
    if not certificate.restores_received:
        return transcode.targets_for(transfer_syntax.EXPLICIT_VR_LITTLE_ENDIAN)
    if transfer_syntax.is_encapsulated(identity.transfer_syntax) and certificate.source_pixel_digest is None:
        return (identity.transfer_syntax,)
    return transcode.targets_for(identity.transfer_syntax)
