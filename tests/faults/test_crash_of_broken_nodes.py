"""The crash harness finds what it is made to find: nodes that break their promise, each in its own way."""

from __future__ import annotations

import pytest

from mripacs.cli.crash.trial import kill_at_random
from tests.faults.broken_node import BROKEN
from tests.faults.crash_node import CrashNode
from tests.faults.crash_setup import crash_test

TRIALS = 3  # a fault that only a kill in the right moment shows may need a second one

CAUGHT_AS = {
    "acknowledge_before_commit": {"missing"},
    "index_before_payload": {"unreadable", "inside"},  # what is at hand can be read without it
    "drop_some": {"missing"},
    "alter_a_pixel": {"altered"},
    "alter_before_storing": {"inside"},
}


@pytest.mark.faults
@pytest.mark.parametrize("way", CAUGHT_AS)
def test_a_broken_node_is_caught(way, tmp_path, objects, fault_random):
    node = CrashNode(tmp_path, module="tests.faults.broken_node", environment={BROKEN: way}, workers=0)
    test = crash_test(node, objects, fault_random, kill_at_random)
    kinds = set()
    try:
        test.start()
        for _ in range(TRIALS):
            kinds |= {loss.kind for loss in test.run_trial().losses}
            if CAUGHT_AS[way] & kinds:
                break
    finally:
        print(f"--- log of the node\n{node.log[-3000:]}")
        node.end()
    assert CAUGHT_AS[way] & kinds
