"""Acknowledged is durable (G1): the node is killed again and again while it is sent real files."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import pytest

from mripacs.cli.crash.trial import kill_at_random
from tests.e2e.node_process import mripacs_json, wait_until
from tests.faults import crash_moments
from tests.faults.crash_node import CrashNode, ForkedNode
from tests.faults.crash_setup import crash_test

BOTH_TIERS = ("within bound", "identical")
MORE_KILLS = 10  # until both were seen: of one kill alone, one in twenty comes before the second object


@dataclass(frozen=True)
class Harness:
    """How, in front of which database, how often of all kills, and the form of the node."""

    kill: object
    share: float
    postgresql: bool = False
    web: bool = False
    forked: bool = False  # from a process that has everything loaded, and without codec processes: quick to start


HARNESSES = {
    "anywhere, SQLite": Harness(kill_at_random, 0.05, web=True),
    "anywhere, PostgreSQL": Harness(kill_at_random, 0.05, postgresql=True),
    "anywhere, forked, SQLite": Harness(kill_at_random, 0.3, forked=True),
    "in the commit, SQLite": Harness(crash_moments.in_the_commit, 0.3, forked=True),
    "in the commit, PostgreSQL": Harness(crash_moments.in_the_commit, 0.2, forked=True, postgresql=True),
    "codec processes": Harness(crash_moments.codec_processes, 0.05),
    "while starting": Harness(crash_moments.while_starting, 0.05),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", HARNESSES)
def test_what_was_acknowledged_survives(name, request, tmp_path, objects, fault_random, record):
    harness = HARNESSES[name]
    url = request.getfixturevalue("new_postgres_database")() if harness.postgresql else None
    node = ForkedNode(tmp_path, url) if harness.forked else CrashNode(tmp_path, url, web=harness.web)
    test = crash_test(node, objects, fault_random, harness.kill)
    kills = max(1, round(harness.share * request.config.getoption("--kills")))
    seen = Counter()
    try:
        test.start()
        while node.kills < kills or (node.kills < kills + MORE_KILLS and not all(map(seen.get, BOTH_TIERS))):
            trial = test.run_trial()
            assert trial.losses == (), f"kill {node.kills}"
            assert trial.refused == {}
            seen.update(acknowledged=trial.acknowledged, unanswered=trial.unacknowledged_present, **trial.likeness)
            seen.update(in_time=node.moment.with_suffix(".pulled").exists())
            node.moment.with_suffix(".pulled").unlink(missing_ok=True)
        with suppress(AssertionError):
            wait_until(lambda: node.processes_left() == [], 20, "the end of what killed nodes had started")
        assert node.processes_left() == []
        assert test.look_again() == []
        stored = sum(seen[word] for word in ("identical", "equal", "within bound"))
        where = ["--database", url] if url else ["--directory", node.archive]
        assert mripacs_json(*where, "admin", "verify") == {"checked": stored, "findings": []}
        node.stop()
        assert node.files_left() == set()
    finally:
        record(name, f"{node.kills} kills", dict(seen))
        print(f"--- log of the node\n{node.log[-4000:]}")
        node.end()
    assert all(seen[likeness] > 0 for likeness in BOTH_TIERS)
