"""Time-outs by a clock that nobody sets.

pynetdicom's `Timer`, which ends idle associations and silent negotiations, reads the wall clock: set back by an hour,
it lets them live an hour longer; set forward, it ends all at once. Its seam is the name `time` in `pynetdicom.timer`.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

from pynetdicom import timer


def install() -> None:
    """Let every timer read the monotonic clock; calling it again changes nothing."""
    timer.time = SimpleNamespace(time=time.monotonic)
