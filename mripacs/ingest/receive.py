"""The door: an object comes in, and a receipt goes out only after the commit that holds it (G1)."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from mripacs.core.errors import ConflictError, ObjectTooLargeError, RefusedError, WorkerLostError
from mripacs.core.model import (
    Decision,
    Disposition,
    IndexAttributes,
    InstanceIdentity,
    NewInstance,
    Receipt,
    ReceivedFrom,
    ReceivedObject,
)
from mripacs.core.settings import ArchiveSettings, LimitSettings
from mripacs.dicom import facts, identity, index, scan, transfer_syntax
from mripacs.ingest.compress import Compressed, CompressionJob, compress, keep_verbatim
from mripacs.ingest.policy import Policy
from mripacs.ingest.resend import Served, is_resend
from mripacs.ingest.workers import Workers
from mripacs.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the header of a received object says, before any pixel is touched."""

    attributes: IndexAttributes
    decision: Decision


def inspect(received: ReceivedObject, policy: Policy, limits: LimitSettings) -> Inspected:
    """Read identity, index attributes and the policy's choice. Raises RefusedError for what the node does not take."""
    if len(received.dataset) > limits.max_object_bytes:
        raise ObjectTooLargeError(
            f"the data set has {len(received.dataset)} bytes, {limits.max_object_bytes} are allowed"
        )
    syntax = received.transfer_syntax
    plain = transfer_syntax.plain(received.dataset, syntax, limits.max_object_bytes)
    dataset_map = scan.scan(plain, syntax)
    attributes = index.index_attributes(plain, dataset_map, syntax)
    index.check_identity(attributes, received.sop_class_uid, received.sop_instance_uid)
    found = facts.policy_facts(plain, dataset_map, syntax, attributes, received.calling_ae)
    return Inspected(attributes, policy.decide(found))


@dataclass(frozen=True, slots=True)
class Ingest:
    """Receives objects for one store. Thread-safe: every association calls `receive` in its own thread."""

    store: Store
    policy: Policy
    workers: Workers
    settings: ArchiveSettings
    limits: LimitSettings
    served: Served

    def receive(self, received: ReceivedObject) -> Receipt:
        """Store an object durably, or recognise it. Raises RefusedError or StoreError; then nothing of it is kept."""
        try:
            receipt = self._receive(received)
        except RefusedError as error:
            log.warning(
                "refused %s from %s: %s", received.sop_instance_uid, received.calling_ae or received.source, error
            )
            raise
        log.info(
            "%s %s as %s, %s (%s): %d bytes in, %d kept",
            receipt.disposition,
            receipt.original_sop_instance_uid,
            receipt.sop_instance_uid,
            receipt.certificate.tier,
            receipt.certificate.rule,
            len(received.dataset),
            receipt.stored_bytes,
        )
        return receipt

    def _receive(self, received: ReceivedObject) -> Receipt:
        inspected = inspect(received, self.policy, self.limits)
        known = self._known(received)
        if known is not None:
            return known
        compressed = self._compress(received, inspected.decision)
        try:
            return self._commit(received, inspected.attributes, compressed)
        except ConflictError:
            known = self._known(received)  # another association was faster with the same object
            if known is None:
                raise
            return known

    def _known(self, received: ReceivedObject) -> Receipt | None:
        """A receipt if the same object is stored already. Raises ConflictError if another one has its UID."""
        stored = self.store.identify(received.sop_instance_uid)
        if stored is None:
            return None
        if not is_resend(stored, received, self.store, self.served, self.limits):
            digest = hashlib.sha256(received.dataset).hexdigest()
            raise ConflictError(
                f"another object is stored under {received.sop_instance_uid}: "
                f"SHA-256 {stored.certificate.received_digest} is kept, {digest} is refused"
            )
        return _receipt(Disposition.DUPLICATE, stored)

    def _compress(self, received: ReceivedObject, decision: Decision) -> Compressed:
        limits = self.limits
        job = CompressionJob(
            received.dataset, received.transfer_syntax, decision, limits.max_samples, limits.max_object_bytes
        )
        try:
            return self.workers.run(compress, job)
        except WorkerLostError as error:
            log.error("%s is kept as received: %s", received.sop_instance_uid, error)
            return keep_verbatim(job, [str(error)])

    def _commit(self, received: ReceivedObject, attributes: IndexAttributes, compressed: Compressed) -> Receipt:
        certificate = compressed.certificate
        derived = certificate.lossy and self.settings.identity == "derive"
        added = self.store.add(
            NewInstance(
                sop_class_uid=received.sop_class_uid,
                sop_instance_uid=(
                    identity.derived_uid(received.sop_instance_uid, str(certificate.codec), str(certificate.target))
                    if derived
                    else received.sop_instance_uid
                ),
                original_sop_instance_uid=received.sop_instance_uid,
                transfer_syntax=received.transfer_syntax,
                attributes=attributes,
                certificate=certificate,
                header=compressed.header,
                pixel_offset=compressed.pixel_offset,
                payload=compressed.payload,
                source=ReceivedFrom(received.source, received.calling_ae, received.called_ae, received.peer),
            )
        )
        return _receipt(Disposition.STORED, added.identity)


def _receipt(disposition: Disposition, stored: InstanceIdentity) -> Receipt:
    return Receipt(
        disposition,
        stored.sop_instance_uid,
        stored.original_sop_instance_uid,
        stored.certificate,
        stored.payload_bytes + stored.header_bytes,
    )
