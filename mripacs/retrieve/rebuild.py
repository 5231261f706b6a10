"""A stored instance becomes a data set again: checked against its digests, marked where it is lossy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mripacs.codec import registry
from mripacs.core import metrics
from mripacs.core.digests import pixel_digest
from mripacs.core.errors import CodecError, DamagedInstanceError
from mripacs.core.model import Outgoing, StoredInstance
from mripacs.dicom import pixels, rebuild, scan, transfer_syntax

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rebuild_instance(stored: StoredInstance) -> Outgoing:
    """The data set that leaves for a stored instance, in the syntax it is natively given out in.

    The received bytes where they come back exactly (G3), else Explicit VR Little Endian with the decoded pixels.
    Raises DamagedInstanceError when a digest does not match (G6).
    """
    return rebuild_with_frames(stored)[0]


def rebuild_with_frames(stored: StoredInstance) -> tuple[Outgoing, NDArray[Any] | None]:
    """`rebuild_instance`, and the frames that were decoded for it, (frames, rows, columns[, 3]); None if none were."""
    identity = stored.identity
    certificate = identity.certificate
    frames = decode_frames(stored) if certificate.codec is not None and stored.payload is not None else None
    if certificate.restores_received:
        return _outgoing(stored, identity.transfer_syntax, _received_bytes(stored, frames)), frames
    if frames is None:
        raise DamagedInstanceError(f"{identity.sop_instance_uid} has no coded pixels")
    dataset = rebuild.derived_dataset(
        stored.header,
        offset_of(stored),
        identity.transfer_syntax,
        frames,
        certificate,
        payload_bytes=identity.marked_bytes,
        sop_instance_uid=identity.sop_instance_uid,
        original_sop_instance_uid=identity.original_sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
    )
    return _outgoing(stored, transfer_syntax.EXPLICIT_VR_LITTLE_ENDIAN, dataset), frames


def decode_frames(stored: StoredInstance) -> NDArray[Any]:
    """The frames of a payload, (frames, rows, columns[, 3]), digest checked. Raises DamagedInstanceError."""
    certificate = stored.identity.certificate
    if certificate.codec is None or stored.payload is None:
        raise DamagedInstanceError(f"{stored.identity.sop_instance_uid} has no coded pixels")
    name, _, version = certificate.codec.partition(" ")
    try:
        with metrics.DECODE_SECONDS.time():
            frames = registry.find(name, int(version)).decode(stored.payload)
    except CodecError as error:
        raise DamagedInstanceError(f"{stored.identity.sop_instance_uid}: payload: {error}") from error
    if pixel_digest(frames) != certificate.decoded_pixel_digest:
        raise DamagedInstanceError(f"{stored.identity.sop_instance_uid}: the decoded pixels are not the certified ones")
    return frames


def offset_of(stored: StoredInstance) -> int:
    """Where the pixel value was cut out of the header. Raises DamagedInstanceError when the row does not say."""
    if stored.pixel_offset is None:
        raise DamagedInstanceError(f"{stored.identity.sop_instance_uid}: the place of its pixels is not recorded")
    return stored.pixel_offset


def _received_bytes(stored: StoredInstance, frames: NDArray[Any] | None) -> bytes:
    """The bytes as received, digest checked."""
    certificate = stored.identity.certificate
    if stored.payload is None:
        dataset = stored.header
    elif frames is None:
        dataset = pixels.join(stored.header, offset_of(stored), stored.payload)
    else:
        dataset = pixels.join(stored.header, offset_of(stored), _native_value(stored, frames))
    if hashlib.sha256(dataset).hexdigest() != certificate.received_digest:
        raise DamagedInstanceError(f"{stored.identity.sop_instance_uid}: the bytes are not those that were received")
    return dataset


def _native_value(stored: StoredInstance, frames: NDArray[Any]) -> bytes:
    syntax = stored.identity.transfer_syntax
    header_map = scan.scan(stored.header, syntax)
    description = pixels.describe(stored.header, header_map, syntax, max_samples=max(1, frames.size))
    return pixels.native_value(frames, description, syntax)


def _outgoing(stored: StoredInstance, syntax: str, dataset: bytes) -> Outgoing:
    return Outgoing(stored.identity.sop_class_uid, stored.identity.sop_instance_uid, syntax, dataset)
