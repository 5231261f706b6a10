"""Storage commitment, Push Model, as SCP (PS3.4 Annex J): what may be promised, and the report that promises it.

A SOP Instance UID is promised only when its instance was read back whole just now, and only when it is what the sender
meant: the UID of an original that was coded with loss is not promised, the UID of what is kept in its place is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import evt

from mripacs.core.errors import MripacsError, QueryError, UnknownInstanceError
from mripacs.core.model import PendingCommitment
from mripacs.dimse import identifiers

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)
Reference = tuple[str, str]  # SOP class and instance UID of an instance that a peer wants a promise for

SOP_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known one (PS3.4 J.3.5)
REQUEST_COMMITMENT = 1  # action type
COMMITTED, FAILURES_EXIST = 1, 2  # event types (PS3.4 Table J.3-2)
MAX_REFERENCES = 100_000  # in one request: a study of some thousand instances fits many times

# Failure Reason (0008,1197), PS3.3 C.14.1.1.
PROCESSING_FAILURE = 0x0110  # known, but what was received cannot be given back: coded with loss, or damaged
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119

# Status of the N-ACTION response (PS3.7 10.1.4.1.10).
NO_SUCH_ACTION, NO_SUCH_SOP_INSTANCE, INVALID_ARGUMENT, RESOURCE_LIMITATION = 0x0123, 0x0112, 0x0115, 0x0213


def refusal(event: evt.Event) -> int | None:
    """The status of an N-ACTION that asks for something else; None for a request for commitment."""
    if str(event.request.RequestedSOPInstanceUID) != SOP_INSTANCE:
        return NO_SUCH_SOP_INSTANCE
    return None if event.request.ActionTypeID == REQUEST_COMMITMENT else NO_SUCH_ACTION


def read_request(event: evt.Event) -> PendingCommitment:
    """The action information of an N-ACTION. Raises QueryError when it lacks what PS3.4 Table J.3-1 requires."""
    request = event.request
    information = identifiers.decode_identifier(request.ActionInformation, event.context.transfer_syntax)
    transaction_uid = str(information.get("TransactionUID", "") or "")
    items = information.get("ReferencedSOPSequence") or ()
    if not transaction_uid or not 0 < len(items) <= MAX_REFERENCES:
        raise QueryError(f"transaction {transaction_uid or 'without UID'} refers to {len(items)} instances")
    references = tuple(
        (str(item.get("ReferencedSOPClassUID", "")), str(item.get("ReferencedSOPInstanceUID", ""))) for item in items
    )
    if not all(sop_instance_uid for _, sop_instance_uid in references):
        raise QueryError(f"transaction {transaction_uid} has a reference without Referenced SOP Instance UID")
    requestor, acceptor = event.assoc.requestor, event.assoc.acceptor
    return PendingCommitment(transaction_uid, requestor.ae_title.strip(), acceptor.ae_title.strip(), references)


def failure_reason(archive: Archive, reference: Reference) -> int | None:
    """Why an instance is not promised; None: it is, and it was read and decoded for that."""
    sop_class_uid, uid = reference
    try:
        identity = archive.identify(uid)
        if identity.sop_class_uid != sop_class_uid:
            return CLASS_INSTANCE_CONFLICT
        is_derived = uid == identity.sop_instance_uid != identity.original_sop_instance_uid
        if not is_derived and not identity.certificate.restores_received:
            return PROCESSING_FAILURE
        archive.fetch_encoded(uid)
    except UnknownInstanceError:
        return NO_SUCH_INSTANCE
    except MripacsError as error:
        log.error("%s is not committed: %s", uid, error)
        return PROCESSING_FAILURE
    return None


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """The event information of an N-EVENT-REPORT and its event type."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...]

    @classmethod
    def on(cls, archive: Archive, request: PendingCommitment) -> CommitmentReport:
        """Read every instance that the request refers to."""
        judged = [(reference, failure_reason(archive, reference)) for reference in request.references]
        return cls(
            request.transaction_uid,
            tuple(reference for reference, reason in judged if reason is None),
            tuple((reference, reason) for reference, reason in judged if reason is not None),
        )

    @property
    def event_type(self) -> int:
        """1 when all is committed, else 2."""
        return FAILURES_EXIST if self.failed else COMMITTED

    def information(self, retrieve_ae_title: str) -> Dataset:
        """PS3.4 Table J.3-2. A sequence that would be empty is absent."""
        dataset = Dataset()
        dataset.TransactionUID = self.transaction_uid
        dataset.RetrieveAETitle = retrieve_ae_title
        if self.committed:
            dataset.ReferencedSOPSequence = Sequence(_items(self.committed))
        if self.failed:
            dataset.FailedSOPSequence = Sequence(_items(reference for reference, _ in self.failed))
            for item, (_, reason) in zip(dataset.FailedSOPSequence, self.failed, strict=True):
                item.FailureReason = reason
        return dataset


def _items(references: Iterable[Reference]) -> list[Dataset]:
    items = []
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        items.append(item)
    return items
