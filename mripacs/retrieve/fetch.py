"""Instances by UID, in a transfer syntax that the peer takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from mripacs.core.errors import TranscodeError
from mripacs.core.model import InstanceIdentity, InstanceSelection, Outgoing, Query
from mripacs.dicom import encapsulate, references, transcode, transfer_syntax
from mripacs.retrieve.finishing import Finishing
from mripacs.retrieve.images import in_streams
from mripacs.retrieve.recent import Finished, Recent
from mripacs.store import Store
from mripacs.store.keys import COMPUTED, KEYS


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Reads from one store. Thread-safe."""

    finishing: Finishing
    rewrite_references: bool = False

    @property
    def store(self) -> Store:
        """Where it reads from."""
        return self.finishing.store

    @property
    def recent(self) -> Recent:
        """What is at hand."""
        return self.finishing.recent

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
        return self.encode(self.finishing.finish(self.identify(uid)))

    def fetch_as(self, uid: str, accepted: Collection[str]) -> Outgoing:
        """The instance in one of the accepted transfer syntaxes, the received bytes if theirs is among them.

        Pixels are coded anew, without loss, only for peers that take no other syntax than those of `encapsulate`.
        Raises TranscodeError when it cannot be written in any of them without loss.
        """
        identity = self.identify(uid)
        choose(identity, accepted)  # before it is decoded for nothing
        return self.encode(self.finishing.finish(identity), accepted)

    def encode(self, finished: Finished, accepted: Collection[str] | None = None) -> Outgoing:
        """A finished instance as `fetch_as` gives it, or natively without `accepted`. Raises TranscodeError."""
        outgoing = self._leave(finished.outgoing)
        if accepted is None:
            return outgoing
        syntax = choose(finished.identity, accepted)
        if syntax in encapsulate.STREAM_OF_SYNTAX and syntax != outgoing.transfer_syntax:
            return in_streams(_transcoded(outgoing, transfer_syntax.EXPLICIT_VR_LITTLE_ENDIAN), syntax)
        return _transcoded(outgoing, syntax)

    def _leave(self, outgoing: Outgoing) -> Outgoing:
        if not self.rewrite_references:
            return outgoing
        dataset = references.rewrite_references(outgoing.dataset, outgoing.transfer_syntax, self.store.aliases)
        return replace(outgoing, dataset=dataset)


def _transcoded(outgoing: Outgoing, syntax: str) -> Outgoing:
    dataset = transcode.transcode(outgoing.dataset, outgoing.transfer_syntax, syntax)
    return replace(outgoing, transfer_syntax=syntax, dataset=dataset)


def choose(identity: InstanceIdentity, accepted: Collection[str]) -> str:
    """The transfer syntax in which an instance leaves for a peer that takes these. Raises TranscodeError."""
    possible = syntaxes_of(identity)
    syntax = next((each for each in possible if each in accepted), None)
    if syntax is not None:
        return syntax
    stream = next((each for each in accepted if each in encapsulate.STREAM_OF_SYNTAX), None)
    if stream is None or identity.certificate.source_pixel_digest is None:
        raise TranscodeError(
            f"{identity.sop_instance_uid} can be sent in {', '.join(possible)}, the peer takes none of them"
        )
    return stream


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
