"""The harnesses of many associations find what they are made to find."""

from __future__ import annotations

import pytest

from mripacs.cli.crash.copies import Copies
from mripacs.cli.crash.server import start_and_wait
from mripacs.dimse.client import Peer
from tests.faults import test_concurrency as harness
from tests.faults.broken_node import BROKEN
from tests.faults.crash_node import CrashNode


def broken(folder, way, database_url=None):
    return CrashNode(folder, database_url, module="tests.faults.broken_node", environment={BROKEN: way}, workers=0)


@pytest.fixture
def start(tmp_path):
    """`start(way)` is a running node that breaks a promise in that way."""
    nodes = []

    def started(way):
        nodes.append(broken(tmp_path, way))
        start_and_wait(nodes[0], Peer("127.0.0.1", nodes[0].port), harness.PATIENCE_S)
        return nodes[0]

    yield started
    for node in nodes:
        node.end()


@pytest.mark.faults
@pytest.mark.parametrize("way", ["recognise_nothing", "lose_updates"])
def test_sixteen_associations(way, start, objects, fault_random):
    node = start(way)
    with pytest.raises(AssertionError):
        harness.assert_one_copy_of_each(node, Copies(objects, fault_random).take(12), fault_random)


@pytest.mark.faults
@pytest.mark.parametrize("way", ["drop_some", "lose_updates"])
def test_among_queries_and_deletions(way, start, objects, fault_random):
    node = start(way)
    with pytest.raises((AssertionError, TimeoutError)):
        harness.assert_nothing_is_lost_among_others(node, Copies(objects, fault_random))


@pytest.mark.faults
@pytest.mark.parametrize("way", ["remember_for_ever", "lose_updates"])
def test_two_nodes(way, new_postgres_database, tmp_path, objects, fault_random):
    url = new_postgres_database()
    nodes = [CrashNode(tmp_path / "right", url, workers=0), broken(tmp_path / "wrong", way, url)]
    try:
        with pytest.raises(AssertionError):
            harness.assert_they_share_one_archive(nodes, url, Copies(objects, fault_random))
    finally:
        for node in nodes:
            node.end()


@pytest.mark.faults
def test_memory(start, objects, fault_random):
    node = start("keep_everything")
    sizes = harness.sizes_over(node, Copies(objects, fault_random), rounds=3)
    with pytest.raises(AssertionError, match="memory grows"):
        harness.assert_steady(sizes, warm_up=1)
