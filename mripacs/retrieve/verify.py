"""Reads everything back and checks every digest and every proof of stability."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from mripacs.codec import registry
from mripacs.core.errors import (
    CodecError,
    DamagedInstanceError,
    MripacsError,
    StoreError,
    StoreUnavailableError,
    UnknownInstanceError,
)
from mripacs.core.model import Generation, StoredInstance, Target, TargetKind, Tier, VerifyFinding, VerifyProgress
from mripacs.retrieve.rebuild import decode_frames, rebuild_instance
from mripacs.store import Store

log = logging.getLogger(__name__)

ANY_TARGET = Target(TargetKind.REL_ERROR, 0.05)  # a fixed point is one under every target, so any will do
SAVE_EVERY_S = 5.0  # what an interruption costs at most; saving is one small commit
HARMLESS = {"stability", "quarantine"}  # findings of instances whose own pixels are right, or that are known already


@dataclass(slots=True)
class Verification:
    """One walk through an archive, instance by instance in the order they were stored; iterate over it once.

    Gives each served UID with its findings, and last ("", findings) of what belongs to no single instance. Progress is
    kept in the archive under `name`, also when the iteration is broken off.

    resume : go on where the last one of that name stopped, unless it came to its end.
    repair : quarantine damaged instances, drop orphans and derive counts anew; `repaired` says what was done.
    rate : instances a second at most. ended : when set, the walk stops, to be resumed.
    """

    store: Store
    name: str = "verify"
    resume: bool = False
    repair: bool = False
    rate: float | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    progress: VerifyProgress = field(default_factory=VerifyProgress)
    repaired: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        earlier = self.store.progress(self.name) if self.resume else None
        if earlier is not None and earlier.finished_at is None:
            self.progress = earlier

    def __iter__(self) -> Iterator[tuple[str, list[VerifyFinding]]]:
        self._save()
        saved = time.monotonic()
        try:
            for row, uid in self.store.iterate_instances(self.progress.last_id):
                due = time.monotonic() + (1 / self.rate if self.rate else 0)
                yield uid, self._look_at(row, uid)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self._save()
                    saved = time.monotonic()
                if self.ended.wait(max(0.0, due - time.monotonic())):
                    return
            yield "", self._look_at_the_rest()
            self.progress = replace(self.progress, finished_at=datetime.now(UTC).isoformat(timespec="microseconds"))
        finally:
            self._save()

    def _look_at(self, row: int, uid: str) -> list[VerifyFinding]:
        found = verify_instance(self.store, uid)
        damage = [finding for finding in found if finding.what not in HARMLESS]
        if self.repair and damage and self.store.quarantine(uid, "; ".join(finding.what for finding in damage)):
            self.repaired.append(f"{uid} quarantined")
        findings = (*self.progress.findings, *found)
        self.progress = VerifyProgress(row, self.progress.checked + 1, findings)
        return found

    def _look_at_the_rest(self) -> list[VerifyFinding]:
        """Rows against each other; what is left to say after a repair."""
        found = self.store.check_references()
        if self.repair and found:
            self.repaired += self.store.repair()
            left = self.store.check_references()
            self.repaired += [f"{each.sop_instance_uid}: {each.detail}" for each in found if each not in left]
        self.progress = replace(self.progress, findings=(*self.progress.findings, *found))
        return found

    def _save(self) -> None:
        self.store.save_progress(self.name, self.progress)


def verify_instance(store: Store, uid: str) -> list[VerifyFinding]:
    """What is wrong with one instance: stored bytes, index, pixels, received bytes, stability. Empty when all is well.

    Empty also when it is deleted meanwhile, or not found by its UID, which `Store.check_references` tells.
    """
    try:
        findings = store.verify_bytes(uid)
        return findings or list(_check_contents(store.load(uid)))
    except UnknownInstanceError:
        return []
    except DamagedInstanceError as error:
        return [VerifyFinding(uid, "index", str(error))]
    except StoreUnavailableError:
        raise
    except StoreError as error:  # a page of the database that cannot be read costs this instance, not the walk
        return [VerifyFinding(uid, "database", str(error))]


def _check_contents(stored: StoredInstance) -> Iterator[VerifyFinding]:
    uid = stored.identity.sop_instance_uid
    try:
        rebuild_instance(stored)
    except DamagedInstanceError as error:
        yield VerifyFinding(uid, "pixels", str(error))
    except MripacsError as error:
        yield VerifyFinding(uid, "header", str(error))
    else:
        yield from _check_stability(stored)


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
