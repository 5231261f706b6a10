"""How much may wait to be compressed: what slows senders down to the codec's rate, and bounds memory and disk."""

from __future__ import annotations

import threading
import time

from mripacs.core.settings import ArchiveSettings
from mripacs.store import Store

TOTALS_S = 0.25  # how old the known size of the backlog may be


class Room:
    """Whether the backlog, of all processes on the database, takes another object."""

    def __init__(self, store: Store, settings: ArchiveSettings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._count = self._bytes = 0
        self._until = 0.0

    def take(self, size: int) -> bool:
        """Count an object of so many bytes in, or False. Raises StoreError."""
        with self._lock:
            if time.monotonic() > self._until:
                self._count, self._bytes = self._store.waiting.totals()
                self._until = time.monotonic() + TOTALS_S
            if self._count >= self._settings.backlog_objects or self._bytes + size > self._settings.backlog_bytes:
                return False
            self._count += 1
            self._bytes += size
            return True
