"""Codec processes that die under every object, or have no memory: the instance is kept all the same."""

from __future__ import annotations

import os
import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.uid import MRImageStorage

from mripacs.dimse import client
from mripacs.dimse.client import Peer
from mripacs.store.certificates import unpack
from tests.e2e.node_process import NodeProcess, wait_until
from tests.e2e.objects import mr_object
from tests.faults.injection.sender import PATIENT, Sender, assert_whole, received

MIB = 2**20


class Killer:
    """Kills every codec process of a node as soon as it is there, while the block runs."""

    def __init__(self, node):
        self._node, self._ended = node, threading.Event()
        self.killed = set()
        self._thread = threading.Thread(target=self._kill)

    def _kill(self):
        while not self._ended.wait(0.01):
            for pid in self._node.codec_processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.killed.add(pid)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


def test_workers_that_always_die(start_node):
    """Each object is kept as it came, and says why; afterwards the codec takes them again."""
    assert_dying_workers_cost_nothing(start_node())


def assert_dying_workers_cost_nothing(node):
    sender = Sender(node.port)
    assert sender.send(2) == [0, 0]
    with Killer(node) as killer:
        assert sender.send(2) == [0, 0]
        node.settle()
    assert len(killer.killed) >= 3
    kept = node.certificates()
    lost = [row for row in kept.values() if "died" in unpack(row["certificate"])["reason"]]
    assert [row["tier"] for row in lost] == ["verbatim"] * len(lost)
    assert lost
    assert sender.send(2) == [0, 0]
    assert [row["tier"] for uid, row in node.certificates().items() if uid not in kept] == ["lossless"] * 2
    assert_whole(node, sender)


def address_space(pid: int) -> int:
    """Bytes of virtual memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def no_more_memory(pid: int, bytes_left: int) -> None:
    hard = resource.prlimit(pid, resource.RLIMIT_AS)[1]
    resource.prlimit(pid, resource.RLIMIT_AS, (address_space(pid) + bytes_left, hard))


def test_a_worker_without_memory(tmp_path):
    """What a worker cannot even take dies with it, and another one codes; none of the instances is lost."""
    node = NodeProcess(tmp_path / "node").start()  # Python shows the dying worker's traceback, with no data in it
    try:
        sender = Sender(node.port)
        assert sender.send(2) == [0, 0]
        (worker,) = node.codec_processes()
        no_more_memory(worker, 0)
        assert sender.send(2, rows=2500, columns=2500) == [0] * 2
        node.settle()
        assert "a codec process died" in node.log or "MemoryError" in str(
            [unpack(row["certificate"]) for row in node.certificates().values()]
        )
        with suppress(ProcessLookupError):  # where it lives still
            resource.prlimit(worker, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        before = set(node.certificates())
        assert sender.send(2, rows=300, columns=300) == [0, 0]
        assert {row["tier"] for uid, row in node.certificates().items() if uid not in before} == {"lossless"}
        assert_whole(node, sender)
    finally:
        node.stop()


def test_a_node_without_memory(start_node):
    """An object too large for the memory that is left is refused, others are taken, and later it is, too."""
    node = start_node(workers=1)
    assert_refused_without_memory(node)
    assert MRImageStorage in {row["sop_class_uid"] for row in node.certificates().values()}


def assert_refused_without_memory(node):
    sender = Sender(node.port)
    assert sender.send(2) == [0, 0]
    large = mr_object(Rows=6000, Columns=6000, PixelData=os.urandom(6000 * 6000 * 2), BitsStored=16, HighBit=15,
                      ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP"], **PATIENT)  # fmt: skip
    no_more_memory(node.process.pid, 48 * MIB)
    (result,) = client.send(Peer("127.0.0.1", node.port, timeout_s=120), [received(large)])
    assert result.status == 0xA700
    assert "no memory" in node.log
    wait_until(lambda: sender.send() == [0], 20, "an object that fits")
    resource.prlimit(node.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sender.send_refused_again()
    (result,) = client.send(Peer("127.0.0.1", node.port, timeout_s=120), [received(large)])
    assert result.status == 0
    sender.acknowledged[str(large.SOPInstanceUID)] = large
    assert_whole(node, sender)


@pytest.fixture(autouse=True)
def _only_where_limits_can_be_set():
    if not hasattr(resource, "prlimit"):
        pytest.skip("no prlimit: not Linux")
