"""When the node, or what belongs to it, is killed: functions for `CrashTest.kill`."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from tests.faults.crash_node import CrashNode

POINTS = {  # point of killing_node -> how often it is passed at most for an instance that is stored
    "sqlite": {"before commit": 1, "after commit": 1, "statement": 8, "write": 40},
    "postgresql": {"before commit": 1, "commit sent": 1, "after commit": 1, "statement": 8},
}
START_S = 3.0  # the node listens after 2 s on a quiet machine


def in_the_commit(node: CrashNode, ledger, random) -> None:
    """At a point of a commit that is drawn; from outside, if the senders end before it comes."""
    points = POINTS["postgresql" if node.database_url else "sqlite"]
    point = random.choice(sorted(points))
    count = random.randint(1, max(1, points[point] * len(ledger.offered) // 2))
    node.moment.write_text(f"{point} {count}", encoding="ascii")
    ledger.wait_for(len(ledger.offered))
    node.kill()
    node.moment.unlink()


def codec_processes(node: CrashNode, ledger, random) -> None:
    """Each codec process at a random moment; the node lives."""
    for part in range(2):
        ledger.wait_for(random.randrange(len(ledger.offered) // 2) + part * len(ledger.offered) // 2)
        for pid in random.sample(node.codec_processes(), k=min(1, len(node.codec_processes()))):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                node.kills += 1
    ledger.wait_for(len(ledger.offered))


def while_starting(node: CrashNode, ledger, random) -> None:
    """At any moment, and once more while it starts again."""
    ledger.wait_for(random.randrange(len(ledger.offered)))
    node.kill()
    node.start()
    time.sleep(random.uniform(0, START_S))
    node.kill()
