"""Codes the payloads of an archive again, in the background, so that they take fewer bytes for the same pixels."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mripacs.codec import repack
from mripacs.core.errors import CodecError, DamagedInstanceError, UnknownInstanceError
from mripacs.core.model import Effort, InstanceSelection, VerifyFinding, VerifyProgress
from mripacs.retrieve.rebuild import decode_frames
from mripacs.store import Store

log = logging.getLogger(__name__)

NAME = "repack"  # of the progress that is kept in the archive
SAVE_EVERY_S = 5.0  # what an interruption costs at most


@dataclass(frozen=True, slots=True)
class Saved:
    """What repacking did to one instance."""

    sop_instance_uid: str
    before: int  # bytes of the payload
    after: int


@dataclass(slots=True)
class Repacking:
    """One walk through an archive, instance by instance in the order they were stored; iterate over it once.

    Gives what was done to each instance: `before` equals `after` where nothing was to be gained, or the instance went
    or changed meanwhile. A damaged instance stays as it is and becomes a finding. Progress is kept in the archive, also
    when the iteration is broken off. A node may run meanwhile: readers find the old payload or the new one.

    resume : go on where the last one stopped, unless it came to its end. rate : instances a second at most.
    tables : name of tables for the small coder that do not ship. studies : Study Instance UIDs; only these, and no
    progress is kept. ended : when set, the walk stops.
    """

    store: Store
    effort: Effort = Effort.SMALL
    studies: tuple[str, ...] = ()
    tables: bytes | None = None
    resume: bool = False
    rate: float | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    progress: VerifyProgress = field(default_factory=VerifyProgress)
    repacked: int = 0
    before: int = 0  # bytes of the payloads looked at
    after: int = 0

    def __post_init__(self) -> None:
        earlier = self.store.progress(NAME) if self.resume and not self.studies else None
        if earlier is not None and earlier.finished_at is None:
            self.progress = earlier

    def __iter__(self) -> Iterator[Saved]:
        self._save()
        saved = time.monotonic()
        try:
            for row, uid in self._instances():
                due = time.monotonic() + (1 / self.rate if self.rate else 0)
                outcome = self._look_at(row, uid)
                if outcome is not None:
                    yield outcome
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self._save()
                    saved = time.monotonic()
                if self.ended.wait(max(0.0, due - time.monotonic())):
                    return
            self.progress = replace(self.progress, finished_at=datetime.now(UTC).isoformat(timespec="microseconds"))
        finally:
            self._save()

    def _instances(self) -> Iterator[tuple[int, str]]:
        if not self.studies:
            return self.store.iterate_instances(self.progress.last_id)
        chosen = self.store.select(InstanceSelection(study_uids=self.studies))
        return ((0, identity.sop_instance_uid) for identity in chosen)

    def _look_at(self, row: int, uid: str) -> Saved | None:
        found: tuple[VerifyFinding, ...] = ()
        outcome = None
        try:
            outcome = repack_instance(self.store, uid, self.effort, self.tables)
        except UnknownInstanceError:
            log.debug("%s was deleted meanwhile", uid)
        except (DamagedInstanceError, CodecError) as error:
            found = (VerifyFinding(uid, "payload", str(error)),)
        if outcome is not None:
            self.repacked += outcome.after < outcome.before
            self.before += outcome.before
            self.after += outcome.after
        self.progress = VerifyProgress(row, self.progress.checked + 1, (*self.progress.findings, *found))
        return outcome

    def _save(self) -> None:
        if not self.studies:
            self.store.save_progress(NAME, self.progress)


def repack_instance(store: Store, uid: str, effort: Effort = Effort.SMALL, tables: bytes | None = None) -> Saved | None:
    """Code one instance's payload again if that makes it smaller; None for one without coded pixels.

    The new payload was decoded, and its pixels are those of the certificate, before it takes the old one's place in one
    transaction. Raises UnknownInstanceError, DamagedInstanceError, CodecError; then nothing was changed.
    """
    stored = store.load(uid)
    if stored.payload is None or stored.identity.certificate.codec is None:
        return None
    payload = repack.repack(stored.payload, effort, tables=tables)
    before = len(stored.payload)
    if len(payload) >= before:
        return Saved(uid, before, before)
    decode_frames(replace(stored, payload=payload))  # raises unless the pixels are the certified ones
    done = store.replace_payload(uid, stored.payload, payload)
    return Saved(uid, before, len(payload) if done else before)
