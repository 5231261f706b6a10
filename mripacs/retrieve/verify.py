"""Reads everything back and checks every digest and every proof of stability."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mripacs.codec import registry
from mripacs.core.errors import CodecError, DamagedInstanceError, MripacsError
from mripacs.core.model import Generation, StoredInstance, Target, TargetKind, Tier, VerifyFinding
from mripacs.retrieve.rebuild import decode_frames, rebuild_instance
from mripacs.store import Store

ANY_TARGET = Target(TargetKind.REL_ERROR, 0.05)  # a fixed point is one under every target, so any will do


def verify_instance(store: Store, uid: str) -> list[VerifyFinding]:
    """What is wrong with one instance: stored bytes, pixels, received bytes, stability. Empty when all is well."""
    findings = store.verify_bytes(uid)
    if findings:
        return findings
    try:
        stored = store.load(uid)
        rebuild_instance(stored)
    except DamagedInstanceError as error:
        return [VerifyFinding(uid, "pixels", str(error))]
    except MripacsError as error:
        return [VerifyFinding(uid, "header", str(error))]
    return list(_check_stability(stored))


def verify_archive(store: Store) -> Iterator[tuple[str, list[VerifyFinding]]]:
    """Every instance with its findings, then ("", findings) of what belongs to none: references and counts."""
    for uid in store.iterate_uids():
        yield uid, verify_instance(store, uid)
    yield "", store.check_references()


def _check_stability(stored: StoredInstance) -> Iterator[VerifyFinding]:
    """Encode what a lossy payload decodes to once more: it must be recognised and come back the same (G5)."""
    certificate = stored.identity.certificate
    if certificate.tier is not Tier.KWAVELET:
        return
    uid = stored.identity.sop_instance_uid
    frames = decode_frames(stored)
    try:
        again = registry.find(Tier.KWAVELET).encode(frames, ANY_TARGET)
    except CodecError as error:
        yield VerifyFinding(uid, "stability", str(error))
        return
    if not np.array_equal(again.decoded, frames):
        yield VerifyFinding(uid, "stability", "a second generation has other pixels")
    elif any(frame.generation is Generation.FIRST_LOSS for frame in again.frames):
        yield VerifyFinding(uid, "stability", "a second generation is not recognised as one")
