"""A received object becomes what the store keeps: compressed in a codec process, named by its result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mripacs.core import metrics
from mripacs.core.errors import WorkerLostError
from mripacs.core.model import Certificate, Decision, IndexAttributes, NewInstance, ReceivedFrom, ReceivedObject
from mripacs.core.settings import ArchiveSettings, LimitSettings
from mripacs.dicom import identity
from mripacs.ingest.compress import Compressed, CompressionJob, compress_each, keep_verbatim
from mripacs.ingest.workers import Workers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Coding:
    """Compresses for one archive. Thread-safe."""

    workers: Workers
    settings: ArchiveSettings
    limits: LimitSettings

    def compress(self, received: ReceivedObject, decision: Decision) -> Compressed:
        """Compress and prove; as received, when its codec process dies under it again and again."""
        job = self._job(received, decision)
        try:
            (compressed,) = self._run([job])
        except WorkerLostError as error:
            log.error("%s is kept as received: %s", received.sop_instance_uid, error)
            metrics.ERRORS.labels("encode", type(error).__name__).inc()
            return keep_verbatim(job, [str(error)])
        return compressed

    def compress_many(self, items: Sequence[tuple[ReceivedObject, Decision]]) -> list[Compressed]:
        """As `compress` each, in one codec process: handing over an object takes 0.6 ms alone, 0.2 ms of four."""
        try:
            return self._run([self._job(*item) for item in items])
        except WorkerLostError:
            return [self.compress(*item) for item in items]  # one of them did it: the others are compressed

    def _job(self, received: ReceivedObject, decision: Decision) -> CompressionJob:
        limits = self.limits
        return CompressionJob(
            received.dataset, received.transfer_syntax, decision, limits.max_samples, limits.max_object_bytes
        )

    def _run(self, jobs: Sequence[CompressionJob]) -> list[Compressed]:
        with metrics.CODEC_JOBS.track_inprogress():
            done = self.workers.run(compress_each, jobs)
        for compressed, seconds in done:
            metrics.ENCODE_SECONDS.labels(compressed.certificate.tier).observe(seconds)
        return [compressed for compressed, _ in done]

    def instance(self, received: ReceivedObject, attributes: IndexAttributes, compressed: Compressed) -> NewInstance:
        """All that one commit writes, under the UID that the site gives a result."""
        certificate = compressed.certificate
        derived = certificate.lossy and self.settings.identity == "derive"
        return NewInstance(
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
            source=source_of(received),
        )


def source_of(received: ReceivedObject) -> ReceivedFrom:
    """Where an object came from."""
    return ReceivedFrom(received.source, received.calling_ae, received.called_ae, received.peer)


def _derived_uid(original_uid: str, certificate: Certificate) -> str:
    """The UID of a lossy result; an effort that chooses pixels of its own has UIDs of its own."""
    target = str(certificate.target) if certificate.effort is None else f"{certificate.target} {certificate.effort}"
    return identity.derived_uid(original_uid, str(certificate.codec), target)
