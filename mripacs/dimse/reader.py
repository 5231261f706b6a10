"""What is at a peer, instance by instance: many C-FINDs and C-GETs over one association."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from mripacs.core.errors import PeerError
from mripacs.core.model import Outgoing
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from mripacs.dimse import identifiers
from mripacs.dimse.client import PENDING, Peer, associated, taking
from mripacs.dimse.handlers import MAX_CONTEXTS

FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a C-GET brought, and how many sub-operations failed."""

    instances: tuple[Outgoing, ...]
    failed: int


@dataclass(slots=True)
class Reader:
    """Reads over an association that `reading` opened. Not thread-safe: an association has one request at a time."""

    peer: Peer
    association: Association
    arrived: list[Outgoing]  # by the C-GET under way

    def find(self, level: str, keys: Mapping[str, str]) -> list[dict[str, str]]:
        """The matches of a C-FIND, by keyword. Raises PeerError."""
        rows: list[dict[str, str]] = []
        try:
            for status, match in self.association.send_c_find(identifiers.request_identifier(level, keys), FIND):
                if _status(self.peer, status, "C-FIND") in PENDING:
                    rows.append(identifiers.matching_keys(match))
                elif status.Status != 0x0000:
                    raise PeerError(f"{self.peer} answered C-FIND with status 0x{status.Status:04X}")
        except (ValueError, RuntimeError) as error:  # what send_c_find documents
            raise PeerError(f"{self.peer} does not answer C-FIND: {error}") from error
        return rows

    def fetch(self, level: str, keys: Mapping[str, str]) -> Fetched:
        """What the keys name, the bytes as they came. Raises PeerError; a failed sub-operation is counted only."""
        self.arrived.clear()
        failed = 0
        try:
            for status, _ in self.association.send_c_get(identifiers.request_identifier(level, keys), GET):
                code = _status(self.peer, status, "C-GET")
                failed = int(status.get("NumberOfFailedSuboperations", failed) or 0)
                failed = failed or int(code not in PENDING and code != 0x0000)
        except (ValueError, RuntimeError) as error:  # what send_c_get documents
            raise PeerError(f"{self.peer} does not answer C-GET: {error}") from error
        return Fetched(tuple(self.arrived), failed)


@contextmanager
def reading(peer: Peer, syntaxes: Mapping[str, Collection[str]]) -> Iterator[Reader]:
    """An association for C-FIND and C-GET in the study root model.

    syntaxes : of each SOP class the transfer syntaxes that its instances were sent in; each is proposed in a context of
    its own, so that instances can leave as they came, and the native ones beside them. Raises PeerError.
    """
    contexts = [build_context(FIND, list(NATIVE_SYNTAXES)), build_context(GET)]
    for uid, own in syntaxes.items():
        contexts += [build_context(uid, [syntax]) for syntax in sorted(own)]
        contexts.append(build_context(uid, list(NATIVE_SYNTAXES)))
    roles: list[object] = [build_role(uid, scp_role=True) for uid in syntaxes]
    arrived: list[Outgoing] = []
    handlers: list[tuple[evt.EventType, Callable[..., object]]] = [(evt.EVT_C_STORE, taking(arrived.append))]
    with associated(peer, contexts[:MAX_CONTEXTS], roles=roles, handlers=handlers) as association:
        yield Reader(peer, association, arrived)


def _status(peer: Peer, status: Dataset, service: str) -> int:
    if "Status" not in status:
        raise PeerError(f"{peer} ended the association during {service}")
    return int(status.Status)
