"""The door: an object comes in, and the answer goes out only after the commit that holds it (G1)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mripacs.core import metrics
from mripacs.core.errors import ConflictError, RefusedError, StoreUnavailableError, UnknownInstanceError
from mripacs.core.model import (
    Acknowledged,
    Disposition,
    IndexAttributes,
    Receipt,
    ReceivedObject,
    Tier,
)
from mripacs.core.settings import ArchiveSettings, LimitSettings
from mripacs.ingest import conflicts
from mripacs.ingest.behind import Behind
from mripacs.ingest.coding import Coding, source_of
from mripacs.ingest.compress import Compressed
from mripacs.ingest.inspection import Inspected, inspect
from mripacs.ingest.policy import Policy
from mripacs.ingest.receipts import receipt_of, tell
from mripacs.ingest.resend import Served, is_resend
from mripacs.store import Store

log = logging.getLogger(__name__)

ATTEMPTS = 5  # to recognise an object whose UID is deleted meanwhile: each needs another deletion


@dataclass(frozen=True, slots=True)
class Ingest:
    """Receives objects for one store. Thread-safe: every association calls it in its own thread."""

    store: Store
    policy: Policy
    coding: Coding
    behind: Behind
    settings: ArchiveSettings
    limits: LimitSettings
    served: Served

    def receive(self, received: ReceivedObject) -> Receipt:
        """Store an object durably, compressed and proved, or recognise it.

        Raises RefusedError or StoreError; then nothing of it is kept.
        """
        with _watched(received):
            receipt = self._receive(received, inspect(received, self.policy, self.limits))
        tell(received, receipt)
        return receipt

    def accept(self, received: ReceivedObject) -> Acknowledged:
        """Keep an object durably as received and compress it behind, as long as the backlog has room for it.

        Else, and where its UID is known already, as `receive`. Raises RefusedError or StoreError; then nothing of it
        is kept.
        """
        with _watched(received):
            inspected = inspect(received, self.policy, self.limits)
            if self.behind.take(received, inspected):
                return Acknowledged(Disposition.STORED, lambda: inspected.decision.tier is Tier.KWAVELET)
            receipt = self._receive(received, inspected)
        tell(received, receipt)
        return Acknowledged(receipt.disposition, lambda: receipt.certificate.lossy)

    def _receive(self, received: ReceivedObject, inspected: Inspected) -> Receipt:
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
            compressed = self.coding.compress(received, inspected.decision)
            try:
                return self._commit(received, inspected.attributes, compressed)
            except ConflictError:
                stored = self.store.identify(received.sop_instance_uid)  # another association was faster
                if stored is None:
                    raise
        if stored.quarantined and (conflicts.is_same(stored, received) or self.settings.on_conflict == "replace"):
            compressed = compressed or self.coding.compress(received, inspected.decision)
            return self._commit(received, inspected.attributes, compressed, replace=True)
        if stored.quarantined:
            raise conflicts.refuse(stored, received)
        if is_resend(stored, received, self.store, self.served, self.limits):
            return receipt_of(Disposition.DUPLICATE, stored)
        if self.settings.on_conflict == "refuse":
            raise conflicts.refuse(stored, received)
        if self.settings.on_conflict == "keep":
            conflicts.keep(self.store, stored, received, source_of(received))
            return receipt_of(Disposition.KEPT, stored)
        compressed = compressed or self.coding.compress(received, inspected.decision)
        return self._commit(received, inspected.attributes, compressed, replace=True)

    def _commit(
        self, received: ReceivedObject, attributes: IndexAttributes, compressed: Compressed, *, replace: bool = False
    ) -> Receipt:
        new = self.coding.instance(received, attributes, compressed)
        if not replace:
            return receipt_of(Disposition.STORED, self.store.add(new).identity)
        log.warning("%s takes the place of another object with its UID", received.sop_instance_uid)
        return receipt_of(Disposition.REPLACED, self.store.replace(new).identity)


@contextmanager
def _watched(received: ReceivedObject) -> Iterator[None]:
    """Time and count the way to the acknowledgement; refusals are logged."""
    try:
        with metrics.counting_errors("store"), metrics.STORE_SECONDS.time():
            yield
    except RefusedError as error:
        log.warning("refused %s from %s: %s", received.sop_instance_uid, received.calling_ae or received.source, error)
        raise
