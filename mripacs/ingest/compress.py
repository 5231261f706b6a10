"""One object, from received bytes to payload and certificate. Pure: runs in a worker process and touches nothing else.

Each tier that fails hands the object to the next safer one, and the certificate says what stood in the way (G2).
Nothing is believed: the payload is decoded again and compared before the original may be let go (G3 to G6).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mripacs.codec import registry
from mripacs.codec.contract import Codec
from mripacs.core.digests import pixel_digest
from mripacs.core.errors import CodecError, CodecMismatchError, PixelDataError, TranscodeError
from mripacs.core.model import Certificate, Decision, Effort, Encoded, FrameRecord, Generation, Target, TargetKind, Tier
from mripacs.dicom import pixels, rebuild, scan, transfer_syntax
from mripacs.ingest.naming import Naming

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CompressionJob:
    """What a worker needs: the received bytes, their syntax, and what the policy chose."""

    dataset: bytes
    transfer_syntax: str
    decision: Decision
    max_samples: int
    max_object_bytes: int
    naming: Naming | None = None  # given: the data set is wanted as it will be given out, too


@dataclass(frozen=True, slots=True)
class Compressed:
    """What a worker gives back: the bytes to store and their certificate.

    given_out : the data set as it will natively leave, if that was asked for; the received bytes where they come back.
    """

    header: bytes
    pixel_offset: int | None
    payload: bytes | None
    certificate: Certificate
    given_out: GivenOut | None = None


@dataclass(frozen=True, slots=True)
class GivenOut:
    """An instance as it leaves. dataset : None where that is the received bytes. shape, dtype : of its frames."""

    dataset: bytes | None
    shape: tuple[int, ...]
    dtype: str


def compress(job: CompressionJob) -> Compressed:
    """Compress and prove. Never raises for what a codec or a decoder cannot do: the object is then kept as it came."""
    attempts = {Tier.KWAVELET: (_lossy, _lossless), Tier.LOSSLESS: (_lossless,), Tier.VERBATIM: (_untouched,)}
    obstacles: list[str] = []
    for attempt in attempts[job.decision.tier]:
        try:
            return attempt(_Source.open(job), obstacles)
        except (CodecError, PixelDataError) as error:
            obstacles.append(f"{attempt.__name__.strip('_')}: {error}")
        except Exception as error:  # noqa: BLE001 - G2: a defect of a codec must not cost the instance either
            obstacles.append(
                f"{attempt.__name__.strip('_')}: unexpected {type(error).__name__}"
            )  # its text may hold data
    return keep_verbatim(job, obstacles if job.decision.tier is not Tier.VERBATIM else [])


def compress_each(jobs: Sequence[CompressionJob]) -> list[tuple[Compressed, float]]:
    """`compress`, and how many seconds it took: measured here, so that waiting for a worker does not count."""
    return [_timed(job) for job in jobs]


def _timed(job: CompressionJob) -> tuple[Compressed, float]:
    started = time.perf_counter()
    return compress(job), time.perf_counter() - started


def _given_out(job: CompressionJob, compressed: Compressed, frames: NDArray[Any]) -> GivenOut | None:
    """None where it was not asked for, or cannot be put together: then its readers are told why."""
    naming, payload, offset = job.naming, compressed.payload, compressed.pixel_offset
    if naming is None or payload is None or offset is None:
        return None
    if compressed.certificate.restores_received:
        return GivenOut(None, frames.shape, frames.dtype.str)
    try:
        dataset = rebuild.derived_dataset(
            compressed.header,
            offset,
            job.transfer_syntax,
            frames,
            compressed.certificate,
            payload_bytes=len(payload),
            sop_instance_uid=naming.served_uid(compressed.certificate),
            original_sop_instance_uid=naming.sop_instance_uid,
            sop_class_uid=naming.sop_class_uid,
        )
    except (TranscodeError, PixelDataError):
        return None
    return GivenOut(dataset, frames.shape, frames.dtype.str)


def keep_verbatim(job: CompressionJob, obstacles: list[str]) -> Compressed:
    """The object as it came, without a look at its pixels. Safe for what killed a worker."""
    return Compressed(job.dataset, None, None, _certificate(job, Tier.VERBATIM, obstacles))


@dataclass(frozen=True, slots=True)
class _Source:
    """A received data set with its frames decoded and, if they were native, the way back to its bytes."""

    job: CompressionJob
    plain: bytes  # the data set, inflated if it came deflated
    syntax: str
    map: scan.DatasetMap
    description: pixels.PixelDescription
    frames: NDArray[Any]

    @classmethod
    def open(cls, job: CompressionJob) -> _Source:
        syntax = job.transfer_syntax
        plain = transfer_syntax.plain(job.dataset, syntax, job.max_object_bytes)
        dataset_map = scan.scan(plain, syntax)
        description = pixels.describe(plain, dataset_map, syntax, max_samples=job.max_samples)
        frames = pixels.decode_frames(plain, dataset_map, syntax, description)
        return cls(job, plain, syntax, dataset_map, description, frames)

    @property
    def native(self) -> bool:
        """Whether the received bytes can be put together again from header and frames."""
        return self.plain is self.job.dataset and not transfer_syntax.is_encapsulated(self.syntax)

    def cut(self) -> tuple[bytes, int, int]:
        """Header bytes, where the pixels were, and how many bytes they took."""
        header, offset = pixels.cut(self.plain, self.map, self.syntax, self.description)
        return header, offset, len(self.plain) - len(header)


def _lossy(source: _Source, obstacles: list[str]) -> Compressed:
    """The K-wavelet codec to the policy's target."""
    target = source.job.decision.target
    if target is None:
        raise CodecMismatchError("the policy chose a lossy tier without a target")
    if source.description.samples != 1:
        raise PixelDataError("more than one sample per pixel")
    if pixels.high_bits_used(source.frames, source.description):
        raise PixelDataError("bits outside Bits Stored carry something")
    encoder = registry.find("kwavelet")
    encoded = encoder.encode(source.frames, target, effort=source.job.decision.effort)
    _prove(encoder, encoded, source.frames)
    _check_bound(source.frames, encoded.decoded, target, encoded.frames)
    return _finish(source, Tier.KWAVELET, encoder, encoded, obstacles)


def _lossless(source: _Source, obstacles: list[str]) -> Compressed:
    """The lossless codec; only for native pixels, since a compressed stream cannot be made again to the bit."""
    if not source.native:
        return _as_received(source, obstacles)
    encoder = registry.find("lossless")
    encoded = encoder.encode(source.frames, None)
    _prove(encoder, encoded, source.frames)
    if not np.array_equal(encoded.decoded, source.frames):
        raise CodecMismatchError("the lossless codec changed a pixel")
    compressed = _finish(source, Tier.LOSSLESS, encoder, encoded, obstacles)
    if not compressed.certificate.restores_received:
        raise CodecMismatchError("the received bytes do not come back")
    return compressed


def _as_received(source: _Source, obstacles: list[str]) -> Compressed:
    """Encapsulated pixels stay as they are, beside a header that compresses against its series."""
    if source.plain is not source.job.dataset:
        raise PixelDataError("a deflated data set is kept as received: deflating it again may give other bytes")
    header, offset, pixel_bytes = source.cut()
    return Compressed(
        header,
        offset,
        source.plain[offset : offset + pixel_bytes],
        _certificate(
            source.job,
            Tier.LOSSLESS,
            obstacles,
            source_pixel_digest=pixel_digest(source.frames),
            received_pixel_bytes=pixel_bytes,
        ),
    )


def _untouched(source: _Source, obstacles: list[str]) -> Compressed:
    """Verbatim by policy: decoded all the same, since only pixels known to decode are transcoded when they leave."""
    certificate = _certificate(source.job, Tier.VERBATIM, obstacles, source_pixel_digest=pixel_digest(source.frames))
    return Compressed(source.job.dataset, None, None, certificate)


def _prove(encoder: Codec, encoded: Encoded, frames: NDArray[Any]) -> None:
    """Decode the payload as a reader would: it must give what the encoder promised, in the source's type."""
    decoded = encoder.decode(encoded.payload, max_samples=max(1, frames.size))
    if decoded.dtype != frames.dtype or not np.array_equal(decoded, encoded.decoded):
        raise CodecMismatchError("the payload does not decode to what the encoder promised")


def _check_bound(frames: NDArray[Any], decoded: NDArray[Any], target: Target, records: tuple[FrameRecord, ...]) -> None:
    """Measure each frame's error again, apart from the codec's own account (G4)."""
    for index, (before, after, record) in enumerate(zip(frames, decoded, records, strict=True)):
        if not _holds(before, after, target, record):
            raise CodecMismatchError(f"frame {index + 1} misses {target}")


def _holds(before: NDArray[Any], after: NDArray[Any], target: Target, record: FrameRecord) -> bool:
    error = before.astype(np.int64) - after.astype(np.int64)
    squared = float(np.sum(error * error, dtype=np.float64))
    if target.kind is TargetKind.MAX_ERROR:
        return int(np.abs(error).max()) <= target.value
    if target.kind is TargetKind.K:
        return record.k is None or record.k <= target.value or record.generation is not Generation.FIRST_LOSS
    if target.kind is TargetKind.NOISE:  # the estimate is the codec's; nothing may be lost without one
        allowed = target.value * (record.noise or 0.0) ** 2 * error.size
    else:
        allowed = target.value**2 * float(np.sum(np.square(before, dtype=np.float64)))
    return squared <= allowed * (1 + 1e-12)  # float64 rounding of the sums


def _finish(source: _Source, tier: Tier, encoder: Codec, encoded: Encoded, obstacles: list[str]) -> Compressed:
    header, offset, pixel_bytes = source.cut()
    certificate = _certificate(
        source.job,
        tier,
        obstacles,
        codec_name=f"{encoder.name} {encoder.version}",
        generation=_generation(encoded.frames),
        source_pixel_digest=pixel_digest(source.frames),
        decoded_pixel_digest=pixel_digest(encoded.decoded),
        frames=encoded.frames,
        received_pixel_bytes=pixel_bytes,
        restores_received=source.native and _restores(source, header, offset, encoded.decoded),
        decoded_range=(int(encoded.decoded.min()), int(encoded.decoded.max())),
    )
    compressed = Compressed(header, offset, encoded.payload, certificate)
    return replace(compressed, given_out=_given_out(source.job, compressed, encoded.decoded))


def _restores(source: _Source, header: bytes, offset: int, decoded: NDArray[Any]) -> bool:
    value = pixels.native_value(decoded, source.description, source.syntax)
    return pixels.join(header, offset, value) == source.job.dataset


def _generation(frames: tuple[FrameRecord, ...]) -> Generation:
    """The instance's generation: lossy as soon as one frame lost something."""
    found = {frame.generation for frame in frames}
    return next(word for word in (Generation.FIRST_LOSS, Generation.STABLE, Generation.LOSSLESS) if word in found)


def _certificate(
    job: CompressionJob,
    tier: Tier,
    obstacles: list[str],
    *,
    codec_name: str | None = None,
    generation: Generation = Generation.LOSSLESS,
    source_pixel_digest: str | None = None,
    decoded_pixel_digest: str | None = None,
    frames: tuple[FrameRecord, ...] = (),
    received_pixel_bytes: int = 0,
    restores_received: bool = True,
    decoded_range: tuple[int, int] | None = None,
) -> Certificate:
    asked = job.decision.target if tier is Tier.KWAVELET else None
    return Certificate(
        tier=tier,
        rule=job.decision.rule,
        reason="; ".join([job.decision.reason, *obstacles]),
        codec=codec_name,
        target=str(asked) if asked else None,
        generation=generation,
        received_digest=hashlib.sha256(job.dataset).hexdigest(),
        source_pixel_digest=source_pixel_digest,
        decoded_pixel_digest=decoded_pixel_digest,
        frames=frames,
        received_bytes=len(job.dataset),
        received_pixel_bytes=received_pixel_bytes,
        restores_received=restores_received,
        decoded_range=decoded_range,
        effort=effort.value if tier is Tier.KWAVELET and (effort := job.decision.effort) is not Effort.FAST else None,
    )
