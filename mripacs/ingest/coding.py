"""A received object becomes what the store keeps: compressed in a codec process, named by its result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mripacs.core import metrics
from mripacs.core.errors import WorkerLostError
from mripacs.core.model import Decision, IndexAttributes, NewInstance, ReceivedFrom, ReceivedObject
from mripacs.core.settings import ArchiveSettings, LimitSettings
from mripacs.ingest.compress import Compressed, CompressionJob, compress_each, keep_verbatim
from mripacs.ingest.naming import Naming
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
        """As `compress` each, in one codec process, with the data sets as they will be given out if those are kept."""
        try:
            return self._run([self._job(*item, given_out=self.settings.recent_bytes > 0) for item in items])
        except WorkerLostError:
            return [self.compress(*item) for item in items]  # one of them did it: the others are compressed

    def _job(self, received: ReceivedObject, decision: Decision, *, given_out: bool = False) -> CompressionJob:
        limits = self.limits
        return CompressionJob(
            received.dataset,
            received.transfer_syntax,
            decision,
            limits.max_samples,
            limits.max_object_bytes,
            self._naming(received) if given_out else None,
        )

    def _naming(self, received: ReceivedObject) -> Naming:
        return Naming(received.sop_class_uid, received.sop_instance_uid, self.settings.identity == "derive")

    def _run(self, jobs: Sequence[CompressionJob]) -> list[Compressed]:
        with metrics.CODEC_JOBS.track_inprogress():
            done = self.workers.run(compress_each, jobs)
        for compressed, seconds in done:
            metrics.ENCODE_SECONDS.labels(compressed.certificate.tier).observe(seconds)
        return [compressed for compressed, _ in done]

    def instance(self, received: ReceivedObject, attributes: IndexAttributes, compressed: Compressed) -> NewInstance:
        """All that one commit writes, under the UID that the site gives a result."""
        certificate = compressed.certificate
        return NewInstance(
            sop_class_uid=received.sop_class_uid,
            sop_instance_uid=self._naming(received).served_uid(certificate),
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
