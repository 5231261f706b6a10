"""The storage over time, kept up to date by reading only what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import astuple
from datetime import UTC, datetime, timedelta

from mripacs.core.model import GrowthRow, StorageGrowth
from mripacs.store import Store

SETTLE_S = 60  # longer than a transaction that writes an instance lasts
FRESH_S = 2.0  # views within this share one answer

Totals = dict[tuple[str, str], tuple[int, ...]]


class Growth:
    """Totals by day and manufacturer of one store. Thread-safe; a deletion makes it count anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._settled: Totals = {}
        self._last_instance = 0
        self._last_event = 0
        self._answer: StorageGrowth | None = None
        self._answered = 0.0

    def read(self) -> StorageGrowth:
        """The totals now. The first call reads the whole index, later ones what came since."""
        with self._lock:
            if self._answer is None or time.monotonic() - self._answered > FRESH_S:
                self._answer = self._count()
                self._answered = time.monotonic()
            return self._answer

    def _count(self) -> StorageGrowth:
        before = (datetime.now(UTC) - timedelta(seconds=SETTLE_S)).isoformat(timespec="microseconds")
        removed, self._last_event = self._store.removals(self._last_event, before)
        if removed:
            self._settled, self._last_instance = {}, 0
        page = self._store.growth(self._last_instance, before)
        self._settled = _added(self._settled, page.settled)
        self._last_instance = page.last_settled
        totals = _added(self._settled, page.recent)
        rows = (GrowthRow(day, maker, *sums) for (day, maker), sums in sorted(totals.items()))
        return StorageGrowth(tuple(rows), page.reference_bytes)


def _added(totals: Totals, rows: Iterable[GrowthRow]) -> Totals:
    found = dict(totals)
    for row in rows:
        day, maker, *sums = astuple(row)
        earlier = found.get((day, maker), (0,) * len(sums))
        found[day, maker] = tuple(old + new for old, new in zip(earlier, sums, strict=True))
    return found
