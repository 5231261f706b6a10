"""Many associations at once: one copy of each instance, no lost update, no deadlock, and memory that does not grow."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from mripacs.cli.crash.copies import Copies, syntaxes_of
from mripacs.cli.crash.server import start_and_wait
from mripacs.core.errors import UnknownInstanceError
from mripacs.core.model import InstanceSelection
from mripacs.dimse.client import Peer, find
from mripacs.dimse.reader import reading
from mripacs.store import Store
from tests.faults.crash_node import CrashNode
from tests.faults.crowd import inconsistencies, node_and_workers, send_all, stored_originals

ASSOCIATIONS = 16
PATIENCE_S = 180
LATE_S = 20  # for deletions after everything was sent


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request, tmp_path):
    url = request.getfixturevalue("new_postgres_database")() if request.param == "postgresql" else None
    yield from _running(CrashNode(tmp_path, url))


def _running(node):
    start_and_wait(node, Peer("127.0.0.1", node.port), PATIENCE_S)
    try:
        yield node
        node.stop()
        assert "Traceback" not in node.log
    finally:
        print(f"--- log of the node\n{node.log[-3000:]}")
        node.end()


@pytest.mark.faults
def test_the_same_instances_from_sixteen_associations(node, objects, fault_random):
    assert_one_copy_of_each(node, Copies(objects, fault_random).take(12), fault_random)


def assert_one_copy_of_each(node, samples, random):
    """Sent by sixteen at once, each in an order of its own."""
    orders = [random.sample(samples, len(samples)) for _ in range(ASSOCIATIONS)]
    results = send_all([Peer("127.0.0.1", node.port)] * ASSOCIATIONS, orders)
    assert {result.status for result in results} == {0x0000}
    assert len(results) == ASSOCIATIONS * len(samples)
    assert stored_originals(node.url) == sorted(sample.sop_instance_uid for sample in samples)
    assert inconsistencies(node.url) == []


@pytest.mark.faults
def test_overlapping_studies_queries_and_deletions(node, objects, fault_random):
    """Eight send instances of the same studies, four query, two fetch, two delete what is there."""
    assert_nothing_is_lost_among_others(node, Copies(objects, fault_random))


def assert_nothing_is_lost_among_others(node, copies):
    peer = Peer("127.0.0.1", node.port)
    samples = copies.take(96)
    studies = sorted({sample.study_instance_uid for sample in samples})
    doomed = [sample for sample in samples[::3] if sample.study_instance_uid in studies[::2]]  # deletions count anew
    ended = threading.Event()
    with ThreadPoolExecutor(8) as others, Store.open(node.url) as beside:
        queries = [others.submit(_query, peer, studies, ended) for _ in range(4)]
        fetches = [others.submit(_fetch, peer, copies, samples, ended) for _ in range(2)]
        deletions = [others.submit(_delete, beside, doomed[part::2], ended) for part in range(2)]
        results = send_all([peer] * 8, [samples[part::8] for part in range(8)])
        ended.set()
        deleted = {uid for each in deletions for uid in each.result(PATIENCE_S)}
        assert sum(each.result(PATIENCE_S) for each in queries) > 0
        assert [wrong for each in fetches for wrong in each.result(PATIENCE_S)] == []
    assert {result.status for result in results} == {0x0000}
    left = sorted(sample.sop_instance_uid for sample in samples if sample.sop_instance_uid not in deleted)
    assert deleted
    assert stored_originals(node.url) == left
    assert inconsistencies(node.url) == []
    rows = [row for study in studies for row in find(peer, "STUDY", _count_key(study))]
    assert sum(int(row["NumberOfStudyRelatedInstances"]) for row in rows) == len(left)


def _count_key(study):
    return {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""}


def _query(peer, studies, ended):
    """Ask for counts until the end; how many answers there were."""
    answers = 0
    while not ended.is_set():
        for study in studies:
            rows = list(find(peer, "STUDY", _count_key(study)))
            assert len(rows) <= 1
            answers += len(rows)
    return answers


def _fetch(peer, copies, samples, ended):
    """Fetch what is there until the end; the UIDs that were listed but came wrong."""
    wrong = []
    with reading(peer, syntaxes_of(copies.templates)) as reader:
        while not ended.is_set():
            for sample in samples[::5]:
                fetched = reader.fetch("IMAGE", {"StudyInstanceUID": sample.study_instance_uid, **_rest(sample)})
                if fetched.failed and reader.find("IMAGE", {"SOPInstanceUID": sample.sop_instance_uid}):
                    wrong.append(sample.sop_instance_uid)  # else it was deleted between its listing and its reading
    return wrong


def _rest(sample):
    return {"SeriesInstanceUID": sample.series_instance_uid, "SOPInstanceUID": sample.sop_instance_uid}


def _delete(store, doomed, ended):
    """Delete each as soon as it is there; the UIDs deleted. What never comes is not waited for."""
    deleted, end = set(), None
    while end is None or (time.monotonic() < end and deleted < {sample.sop_instance_uid for sample in doomed}):
        if end is None and ended.is_set():
            end = time.monotonic() + LATE_S
        for sample in doomed:
            uid = sample.sop_instance_uid
            with suppress(UnknownInstanceError):
                store.delete(InstanceSelection(sop_instance_uids=(uid,)))
                deleted.add(uid)
        time.sleep(0.05)
    return deleted


@pytest.mark.faults
def test_two_nodes_share_one_archive(new_postgres_database, tmp_path, objects, fault_random):
    """Store to both, read each's at the other, delete at one while the other reads."""
    url = new_postgres_database()
    nodes = [CrashNode(tmp_path / name, url, workers=1) for name in ("one", "two")]
    try:
        assert_they_share_one_archive(nodes, url, Copies(objects, fault_random))
    finally:
        for node in nodes:
            print(f"--- log of a node\n{node.log[-2000:]}")
            node.end()


def assert_they_share_one_archive(nodes, url, copies):
    peers = [Peer("127.0.0.1", node.port) for node in nodes]
    samples = copies.take(48)
    for node, peer in zip(nodes, peers, strict=True):
        node.folder.mkdir()
        start_and_wait(node, peer, PATIENCE_S)
    both = samples[:12]  # sent to both nodes at once
    batches = [part for number in range(4) for part in (both + samples[12 + number :: 4],)]
    results = send_all([peers[number % 2] for number in range(4)], batches)
    assert {result.status for result in results} == {0x0000}
    assert stored_originals(url) == sorted(sample.sop_instance_uid for sample in samples)
    assert inconsistencies(url) == []  # here, too: deletions count anew
    kept, doomed = samples[:36], samples[36:]
    assert [_read_all(peer, copies, doomed) for peer in peers] == [[], []]  # what a node remembers must not outlive it
    with ThreadPoolExecutor(3) as pool, Store.open(url) as beside:
        reads = [pool.submit(_read_all, peer, copies, kept) for peer in peers]
        deletion = pool.submit(_delete, beside, doomed, _set())
        assert [wrong for each in reads for wrong in each.result(PATIENCE_S)] == []
        assert deletion.result(PATIENCE_S) == {sample.sop_instance_uid for sample in doomed}
    for peer in peers:
        assert _read_all(peer, copies, kept) == []
        assert len(_read_all(peer, copies, doomed)) == len(doomed), "what was deleted is given out"
    assert inconsistencies(url) == []


def _set():
    event = threading.Event()
    event.set()
    return event


def _read_all(peer, copies, samples):
    """Fetch each; the UIDs that did not come."""
    with reading(peer, syntaxes_of(copies.templates)) as reader:
        keys = [{"StudyInstanceUID": sample.study_instance_uid, **_rest(sample)} for sample in samples]
        return [key["SOPInstanceUID"] for key in keys if len(reader.fetch("IMAGE", key).instances) != 1]


ROUNDS = {"short": (6, 2), "long": (40, 8)}  # of a hundred instances: all, and those that warm up
GROWTH = 1.10  # of the resident memory after the warm-up


@pytest.mark.faults
def test_memory_does_not_grow(tmp_path, objects, fault_random, request, record):
    """Several associations in each round, as scanners come and go, and queries and fetches beside them."""
    rounds, warm_up = ROUNDS["long" if request.config.getoption("--kills") >= 200 else "short"]
    for node in _running(CrashNode(tmp_path)):
        sizes = sizes_over(node, Copies(objects, fault_random), rounds)
    record(f"resident memory, {100 * rounds} instances", figures(sizes, warm_up))
    assert_steady(sizes, warm_up)


def sizes_over(node, copies, rounds):
    """Resident bytes of the node and of its codec processes, at the start and after each hundred instances."""
    peer = Peer("127.0.0.1", node.port)
    sizes = [node_and_workers(node)]
    for _ in range(rounds):
        samples = copies.take(100)
        results = send_all([peer] * 4, [samples[part::4] for part in range(4)])
        assert {result.status for result in results} == {0x0000}
        assert _read_all(peer, copies, samples[::10]) == []
        sizes.append(node_and_workers(node))
    return sizes


def figures(sizes, warm_up):
    """MB of node and codec processes at the start, after the warm-up and at the end, and the largest afterwards."""
    moments = {
        "start": sizes[0],
        "warm": sizes[warm_up],
        "end": sizes[-1],
        "largest sum": max(sizes[warm_up:], key=sum),
    }
    return {name: f"node {node / 1e6:.0f}, workers {workers / 1e6:.0f} MB" for name, (node, workers) in moments.items()}


def assert_steady(sizes, warm_up):
    totals = [sum(size) for size in sizes]
    assert max(totals[warm_up:]) <= GROWTH * totals[warm_up], f"memory grows: {totals}"
