"""Is an object that comes again the one that is stored? Senders repeat themselves, often in another transfer syntax."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from mripacs.core.digests import pixel_digest
from mripacs.core.errors import PixelDataError, RefusedError, TranscodeError
from mripacs.core.model import Generation, InstanceIdentity, Outgoing, ReceivedObject, StoredInstance
from mripacs.core.settings import LimitSettings
from mripacs.dicom import pixels, rebuild, same, scan, transfer_syntax
from mripacs.store import Store

Served = Callable[[str], Outgoing]  # how an instance would leave, by its UID: comes from the room that gives them out


def is_resend(
    stored: InstanceIdentity, received: ReceivedObject, store: Store, served: Served, limits: LimitSettings
) -> bool:
    """Whether `received` is the stored object: byte for byte, or an equal data set in another encoding.

    A lossy instance is known under two UIDs: what comes under the original's is compared with the original (its header
    is kept, its pixels by their digest), what comes under the derived one with what the node gives out.
    """
    as_original = received.sop_instance_uid == stored.original_sop_instance_uid
    if as_original and hashlib.sha256(received.dataset).hexdigest() == stored.certificate.received_digest:
        return True
    if as_original and stored.certificate.lossy:
        return _is_original(store.load(stored.sop_instance_uid), received, limits)
    outgoing = served(stored.sop_instance_uid)
    return same.same_object(outgoing.dataset, outgoing.transfer_syntax, received.dataset, received.transfer_syntax)


def _is_original(stored: StoredInstance, received: ReceivedObject, limits: LimitSettings) -> bool:
    """The stored header joined with the received pixels, if their digest is the source's, must equal what came."""
    certificate = stored.identity.certificate
    try:
        plain = transfer_syntax.plain(received.dataset, received.transfer_syntax, limits.max_object_bytes)
        dataset_map = scan.scan(plain, received.transfer_syntax)
        description = pixels.describe(plain, dataset_map, received.transfer_syntax, max_samples=limits.max_samples)
        frames = pixels.decode_frames(plain, dataset_map, received.transfer_syntax, description)
        if stored.pixel_offset is None or pixel_digest(frames) != certificate.source_pixel_digest:
            return False
        original = rebuild.derived_dataset(
            stored.header,
            stored.pixel_offset,
            stored.identity.transfer_syntax,
            frames,
            replace(certificate, generation=Generation.LOSSLESS),
            payload_bytes=stored.identity.marked_bytes,
            sop_instance_uid=received.sop_instance_uid,
            original_sop_instance_uid=received.sop_instance_uid,
            sop_class_uid=received.sop_class_uid,
        )
    except (PixelDataError, TranscodeError, RefusedError):
        return False
    syntax = transfer_syntax.EXPLICIT_VR_LITTLE_ENDIAN
    return same.same_object(original, syntax, received.dataset, received.transfer_syntax)
