"""How much memory something takes, as the system sees it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

PAGE_BYTES = 4096


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


class PeakMemory:
    """The largest growth of this process's resident memory while the block runs."""

    growth = 0

    def __enter__(self) -> Self:
        self._start, self._ended = resident_bytes(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.002):
            self.growth = max(self.growth, resident_bytes() - self._start)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
