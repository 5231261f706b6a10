"""The scheduled scrub: a node verifies its archive by itself, slowly, and says what it finds."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mripacs.core.errors import MripacsError
from mripacs.core.model import VerifyProgress
from mripacs.retrieve.verify import Verification
from mripacs.store import Store

log = logging.getLogger(__name__)

NAME = "scrub"
LOOK_EVERY_S = 60.0  # how often it is asked whether a scrub is due
ABANDONED_AFTER = timedelta(
    minutes=10
)  # without a word (verify.SAVE_EVERY_S is far shorter): another node that was at it is gone

SKEW = timedelta(minutes=1)  # between the clocks of two nodes that share an archive


@dataclass(frozen=True, slots=True)
class Scrub:
    """Scrubs of one archive; nodes that share it leave each other alone.

    interval : from the end of one scrub to the beginning of the next. rate : instances a second at most.
    """

    store: Store
    interval: timedelta
    rate: float

    def run(self, ended: threading.Event) -> None:
        """Scrub whenever it is due, until `ended` is set. A scrub that was interrupted goes on where it stopped."""
        while not ended.is_set():
            try:
                if self.is_due(datetime.now(UTC)):
                    self.scrub(ended)
            except MripacsError as error:
                log.error("scrub: %s", error)
            ended.wait(LOOK_EVERY_S)

    def is_due(self, now: datetime) -> bool:
        """Whether the interval has passed, or an interrupted scrub waits.

        A time that lies ahead was written before the clock was set back, and says nothing.
        """
        last = self.store.progress(NAME)
        if last is None:
            return True
        if last.finished_at is None:
            return not timedelta(0) <= now - datetime.fromisoformat(last.updated_at) + SKEW <= ABANDONED_AFTER
        return not timedelta(0) <= now - datetime.fromisoformat(last.finished_at) + SKEW < self.interval + SKEW

    def scrub(self, ended: threading.Event) -> VerifyProgress:
        """One scrub: each finding is logged and is an audit event, and so is its end."""
        walk = Verification(self.store, NAME, resume=True, rate=self.rate, ended=ended)
        for _, findings in walk:
            for finding in findings:
                log.error("scrub: %s: %s: %s", finding.sop_instance_uid, finding.what, finding.detail)
                self.store.record("scrub", uid=finding.sop_instance_uid, outcome=finding.what, detail=finding.detail)
        if walk.progress.finished_at:
            summary = f"{walk.progress.checked} instances, {len(walk.progress.findings)} findings"
            log.info("scrub: %s", summary)
            self.store.record("scrub", outcome="finished", detail=summary)
        return walk.progress
