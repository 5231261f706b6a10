"""The door: an object comes in, and a receipt goes out only after the commit that holds it (G1)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mripacs.core import metrics
from mripacs.core.errors import (
    ConflictError,
    ObjectTooLargeError,
    RefusedError,
    StoreUnavailableError,
    UnknownInstanceError,
    WorkerLostError,
)
from mripacs.core.model import (
    Certificate,
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
from mripacs.ingest import conflicts
from mripacs.ingest.compress import Compressed, CompressionJob, compress_timed, keep_verbatim
from mripacs.ingest.policy import Policy
from mripacs.ingest.resend import Served, is_resend
from mripacs.ingest.workers import Workers
from mripacs.store import Store

log = logging.getLogger(__name__)

ATTEMPTS = 5  # to recognise an object whose UID is deleted meanwhile: each needs another deletion


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
    index.check_uid("TransferSyntaxUID", syntax)
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
            with metrics.counting_errors("store"), metrics.STORE_SECONDS.time():
                receipt = self._receive(received)
        except RefusedError as error:
            log.warning(
                "refused %s from %s: %s", received.sop_instance_uid, received.calling_ae or received.source, error
            )
            raise
        _count(received, receipt)
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
        for _ in range(ATTEMPTS):
            try:
                return self._store_or_recognise(received, inspected)
            except UnknownInstanceError:
                continue  # what had its UID was deleted while the two were compared
        raise StoreUnavailableError(f"{received.sop_instance_uid} is being deleted again and again; send it later")

    def _store_or_recognise(self, received: ReceivedObject, inspected: Inspected) -> Receipt:
        compressed = None
        stored = self.store.identify(received.sop_instance_uid)
        if stored is None:
            compressed = self._compress(received, inspected.decision)
            try:
                return self._commit(received, inspected.attributes, compressed)
            except ConflictError:
                stored = self.store.identify(received.sop_instance_uid)  # another association was faster
                if stored is None:
                    raise
        if stored.quarantined and (conflicts.is_same(stored, received) or self.settings.on_conflict == "replace"):
            compressed = compressed or self._compress(received, inspected.decision)
            return self._commit(received, inspected.attributes, compressed, replace=True)
        if stored.quarantined:
            raise conflicts.refuse(stored, received)
        if is_resend(stored, received, self.store, self.served, self.limits):
            return _receipt(Disposition.DUPLICATE, stored)
        if self.settings.on_conflict == "refuse":
            raise conflicts.refuse(stored, received)
        if self.settings.on_conflict == "keep":
            conflicts.keep(self.store, stored, received, _source(received))
            return _receipt(Disposition.KEPT, stored)
        compressed = compressed or self._compress(received, inspected.decision)
        return self._commit(received, inspected.attributes, compressed, replace=True)

    def _compress(self, received: ReceivedObject, decision: Decision) -> Compressed:
        limits = self.limits
        job = CompressionJob(
            received.dataset, received.transfer_syntax, decision, limits.max_samples, limits.max_object_bytes
        )
        try:
            with metrics.CODEC_JOBS.track_inprogress():
                compressed, seconds = self.workers.run(compress_timed, job)
        except WorkerLostError as error:
            log.error("%s is kept as received: %s", received.sop_instance_uid, error)
            metrics.ERRORS.labels("encode", type(error).__name__).inc()
            return keep_verbatim(job, [str(error)])
        metrics.ENCODE_SECONDS.labels(compressed.certificate.tier).observe(seconds)
        return compressed

    def _commit(
        self, received: ReceivedObject, attributes: IndexAttributes, compressed: Compressed, *, replace: bool = False
    ) -> Receipt:
        certificate = compressed.certificate
        derived = certificate.lossy and self.settings.identity == "derive"
        new = NewInstance(
            sop_class_uid=received.sop_class_uid,
            sop_instance_uid=(
                _derived_uid(received.sop_instance_uid, certificate) if derived else received.sop_instance_uid
            ),
            original_sop_instance_uid=received.sop_instance_uid,
            transfer_syntax=received.transfer_syntax,
            attributes=attributes,
            certificate=certificate,
            header=compressed.header,
            pixel_offset=compressed.pixel_offset,
            payload=compressed.payload,
            source=_source(received),
        )
        if not replace:
            return _receipt(Disposition.STORED, self.store.add(new).identity)
        log.warning("%s takes the place of another object with its UID", received.sop_instance_uid)
        return _receipt(Disposition.REPLACED, self.store.replace(new).identity)


def _derived_uid(original_uid: str, certificate: Certificate) -> str:
    """The UID of a lossy result; an effort that chooses pixels of its own has UIDs of its own."""
    target = str(certificate.target) if certificate.effort is None else f"{certificate.target} {certificate.effort}"
    return identity.derived_uid(original_uid, str(certificate.codec), target)


def _count(received: ReceivedObject, receipt: Receipt) -> None:
    tier = receipt.certificate.tier
    metrics.RECEIVED.labels(received.source, receipt.disposition, tier).inc()
    if receipt.disposition in (Disposition.STORED, Disposition.REPLACED):
        metrics.RECEIVED_BYTES.labels(tier).inc(len(received.dataset))
        metrics.STORED_BYTES.labels(tier).inc(receipt.stored_bytes)


def _source(received: ReceivedObject) -> ReceivedFrom:
    return ReceivedFrom(received.source, received.calling_ae, received.called_ae, received.peer)


def _receipt(disposition: Disposition, stored: InstanceIdentity) -> Receipt:
    return Receipt(
        disposition,
        stored.sop_instance_uid,
        stored.original_sop_instance_uid,
        stored.certificate,
        stored.payload_bytes + stored.header_bytes,
    )
