"""What was offered to the server and what it answered, as the senders saw it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mripacs.cli.crash.copies import Sample


class Ledger:
    """Thread-safe: every sender writes into it, whoever kills watches it."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.offered = {sample.sop_instance_uid: sample for sample in samples}
        self.acknowledged: dict[str, Sample] = {}
        self.refused: dict[str, str] = {}  # status and comment by UID
        self._changed = threading.Condition()
        self._ended = False

    def answer(self, sop_instance_uid: str, status: int | None, comment: str = "", *, accepted: bool) -> None:
        """Note a C-STORE response; a `status` of None means that there was none."""
        with self._changed:
            if accepted:
                self.acknowledged[sop_instance_uid] = self.offered[sop_instance_uid]
            elif status is not None:
                self.refused[sop_instance_uid] = f"0x{status:04X} {comment}".rstrip()
            self._changed.notify_all()

    def end(self) -> None:
        """All senders have ended."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, acknowledged: int, timeout_s: float | None = None) -> bool:
        """Return when so many are acknowledged or all senders have ended; whether the former came first."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self.acknowledged) >= acknowledged, timeout_s)
            return len(self.acknowledged) >= acknowledged
