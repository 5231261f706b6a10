"""Previews in the node: made after the acknowledgement, kept with the instance and the model's version.

Fresh instances come first; those that lack a preview of the active model follow at the settings' rate. What is left to
do is asked of the database, so a killed node or an activated model needs no bookkeeping. Two nodes on one database
share the work: each takes the instances of a page in an order of its own, and looks before it makes.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from mripacs.core.errors import MripacsError, StoreError, UnknownInstanceError
from mripacs.core.model import Preview, StoredInstance
from mripacs.core.previews import PreviewSettings
from mripacs.ingest.workers import Workers, start_workers
from mripacs.retrieve.images import decode_image
from mripacs.store import Store

if TYPE_CHECKING:
    from mripacs.models.making import Codec
    from mripacs.models.model import PreviewModel

log = logging.getLogger(__name__)

IDLE_S = 1.0  # how long a fresh instance waits for its preview at most
PAGE = 32  # instances asked for at once
LATE_ROWS = 1000  # on PostgreSQL a lower row number may appear after a higher one: so far back is looked again
GIVES_WAY = 15  # nice value of the process that makes them: what comes in is coded first
MOST_WAITING = 10_000  # fresh instances remembered; what is forgotten is found by asking the database


@dataclass(frozen=True, slots=True)
class PreviewJob:
    """What a codec process needs."""

    stored: StoredInstance
    model_data: bytes
    codec: Codec
    max_bytes: int


def make_preview(job: PreviewJob) -> bytes:
    """In a process of its own: the preview of an instance's middle frame; empty where there is nothing to show."""
    from mripacs.models import making  # noqa: PLC0415 - numba, only where previews are made or shown

    try:
        image = decode_image(job.stored)
        frame = image.frames[len(image.frames) // 2]
        grey = frame.mean(axis=2) if frame.ndim == 3 else frame.astype("float32")
        if image.description.photometric == "MONOCHROME1":
            grey = -grey
        return making.make(grey, _model_of(job.model_data), job.codec, job.max_bytes)
    except MripacsError as error:
        log.info("no preview of %s: %s", job.stored.identity.sop_instance_uid, error)
        return b""


def give_way() -> None:
    """In the process that makes previews: run when nobody else wants the processor, and load what makes them."""
    os.nice(GIVES_WAY)
    from mripacs.models import making  # noqa: F401, PLC0415 - as above


class Previews:
    """Makes and shows the previews of one archive. `show` may be called from any thread, `run` from one."""

    def __init__(self, store: Store, workers: Workers, settings: PreviewSettings) -> None:
        self._store = store
        self._codec_workers = workers
        self._own_workers: Workers | None = None
        self._settings = settings
        self._fresh: deque[str] = deque(maxlen=MOST_WAITING)
        self._version = 0
        self._data = b""
        self._models: dict[int, PreviewModel] = {}  # by version, which never returns: it needs no second look
        self._seen = 0  # row number up to which nothing is left to do

    def offer(self, uid: str) -> None:
        """An instance was stored: its preview is made soon."""
        if self._settings.codec != "off":
            self._fresh.append(uid)

    def run(self, ended: threading.Event) -> None:
        """Make previews until `ended` is set; returns at once where they are off or there is no model."""
        if self._settings.codec == "off":
            return
        try:
            self._follow_active()
        except MripacsError as error:
            log.error("no previews are made: %s", error)
            return
        while not ended.is_set():
            try:
                busy = self.work(ended)
            except MripacsError as error:
                log.error("previews: %s", error)
                busy = False
            if not busy:
                ended.wait(IDLE_S)

    def work(self, ended: threading.Event) -> bool:
        """Make the previews of what is fresh and of one page of the rest; False when nothing was left to do."""
        self._follow_active()
        fresh = self._make_fresh(ended)
        page = self._store.previews.lacking(
            self._version, self._settings.modalities, max(0, self._seen - LATE_ROWS), PAGE
        )
        if not page:
            return fresh
        made = False
        for _, uid in random.sample(page, len(page)):
            self._make_fresh(ended)
            if self._make(uid):
                made = True
                if ended.wait(1 / self._settings.rate):
                    return True
        self._seen = max(self._seen, page[-1][0])
        return made or fresh

    def show(self, uid: str) -> Preview | None:
        """The preview of the instance served or received under `uid`; None where none is (yet) made.

        Raises DamagedInstanceError when it does not match its digest, PayloadError when it cannot be decoded.
        """
        from mripacs.models import making  # noqa: PLC0415 - as above

        kept = self._store.previews.preview(uid)
        if kept is None or not kept.data:
            return None
        grey = making.show(kept.data, self._model(kept.version)).grey()
        return Preview(
            sop_instance_uid=kept.sop_instance_uid,
            label=making.LABEL,
            grey=grey,
            png=making.to_png(grey),
            codec=making.codec_of(kept.data),
            version=kept.version,
            payload_bytes=len(kept.data),
        )

    def close(self) -> None:
        """End the process that makes previews, if there is one."""
        if self._own_workers is not None:
            self._own_workers.close()

    def _workers(self) -> Workers:
        """A process of their own, started for the first preview; the caller's where the archive has no processes."""
        if not self._codec_workers.count:
            return self._codec_workers
        if self._own_workers is None:
            self._own_workers = start_workers(1, give_way)
        return self._own_workers

    def _follow_active(self) -> None:
        """Take up the model that is active in the database; the shipped one becomes it where there is none."""
        version = self._store.previews.active_version()
        if version is None:
            version = activate_shipped(self._store)
        if version != self._version:
            self._data = self._store.previews.model_data(version)
            _model_of(self._data)
            self._version, self._seen = version, 0
            log.info("previews are made by model %d", version)

    def _make_fresh(self, ended: threading.Event) -> bool:
        found = False
        while self._fresh and not ended.is_set():
            uid = self._fresh.popleft()
            if self._wanted(uid):
                found = self._make(uid) or found
        return found

    def _wanted(self, uid: str) -> bool:
        """Whether the policy gives the instance a preview."""
        if not self._settings.modalities:
            return True
        return self._store.previews.modality_of(uid) in self._settings.modalities

    def _make(self, uid: str) -> bool:
        """Make and keep one preview; False when another node was faster or the instance has gone."""
        if self._store.previews.version_of(uid) == self._version or self._settings.codec == "off":
            return False
        try:
            stored = self._store.load(uid)
            job = PreviewJob(stored, self._data, self._settings.codec, self._settings.max_bytes)
            data = self._workers().run(make_preview, job)
        except (StoreError, UnknownInstanceError):
            return False  # asked again later, if it is still there
        except MripacsError as error:  # damaged, or it ends every codec process: trying again would not help
            log.warning("no preview of %s: %s", uid, error)
            data = b""
        return self._store.previews.save_preview(uid, self._version, data)

    def _model(self, version: int) -> PreviewModel:
        if version not in self._models:
            self._models[version] = _model_of(self._store.previews.model_data(version))
        return self._models[version]


def activate_shipped(store: Store) -> int:
    """Make the shipped model the active one unless another is; gives the active version. Raises ModelError."""
    from mripacs.models import model_file  # noqa: PLC0415 - as above

    shipped = model_file.default()
    version = store.previews.add_model("shipped", shipped.digest, shipped.card, model_file.default_bytes())
    return store.previews.activate(version, unless_another=True)


@lru_cache(maxsize=4)
def _model_of(data: bytes) -> PreviewModel:
    from mripacs.models import model_file  # noqa: PLC0415 - as above

    return model_file.from_bytes(data)
