"""Disks that fill up, fail, or turn read-only below a running node, and come back."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable

import pytest

from mripacs.core.errors import PeerError
from mripacs.dimse import client
from mripacs.dimse.client import Peer
from tests.e2e.node_process import NodeProcess, wait_until
from tests.faults.injection.sender import OUT_OF_RESOURCES, PATIENT, Flow, Sender, assert_whole
from tests.real_parts import REPOSITORY

RECOVERY_S = 20


def wait_for_more(count: Callable[[], int], number: int) -> None:
    """Return when `count()` has grown by `number`."""
    enough = count() + number
    wait_until(lambda: count() >= enough, RECOVERY_S, f"{number} more")


def assert_reads_go_on(node: NodeProcess) -> None:
    """Queries are answered while nothing can be stored."""
    peer = Peer("127.0.0.1", node.port)
    client.echo(peer)
    assert list(client.find(peer, "STUDY", {"PatientID": PATIENT["PatientID"]}))


def test_a_disk_that_fills_up(small_disk):
    """Refused with A700 while it is full; more space, and the node goes on, without a restart."""
    folder = small_disk("8m")
    node = NodeProcess(folder, workers=1).start()
    try:
        sender = Sender(node.port)
        for _ in range(60):
            sender.send(4, rows=256, columns=256)
            if len(sender.refused_objects) > 8:
                break
        assert set(sender.refused) == {OUT_OF_RESOURCES}
        assert sender.acknowledged
        assert "full" in node.log
        assert_reads_go_on(node)
        small_disk("64m")
        sender.send_refused_again()
        assert_whole(node, sender)
    finally:
        node.stop()


FAULTS = [
    ("sync", errno.EIO),
    ("write", errno.EROFS),  # what ext4 answers after it turned itself read-only
    ("write", errno.EIO),
    ("write", errno.ENOSPC),
    ("write", errno.EDQUOT),
]


def test_a_disk_that_fails(start_node, failing_disk):
    """One kind of failure after the other, below one node."""
    node = start_node(environment=failing_disk.environment)
    sender = Sender(node.port)
    assert sender.send(3) == [0] * 3
    for calls, number in FAULTS:
        logged = len(node.log)
        failing_disk.fail(calls, number)
        assert sender.send(3) == [OUT_OF_RESOURCES] * 3, errno.errorcode[number]
        assert_reads_go_on(node)
        assert "failed: the d" in node.log[logged:], errno.errorcode[number]
        failing_disk.work()
        sender.send_refused_again()
    assert_whole(node, sender)


def test_a_disk_that_fails_and_works_again_and_again(start_node, failing_disk):
    """Under a flow of instances, the fault comes at any moment of a commit or checkpoint."""
    node = start_node(environment=failing_disk.environment)
    with Flow(node.port) as sender:
        for calls, number in (("sync", errno.EIO), ("write", errno.ENOSPC)) * 6:
            wait_for_more(lambda: len(sender.acknowledged), 5)
            failing_disk.fail(calls, number)
            wait_for_more(sender.refused.total, 2)
            failing_disk.work()
    assert set(sender.refused) == {OUT_OF_RESOURCES}
    sender.send_refused_again()
    assert_whole(node, sender)


def test_a_database_that_is_moved_away_and_back(start_node):
    """Nothing is acknowledged into a file that is no longer the archive's, and no empty archive takes its place."""
    node = start_node()
    sender = Sender(node.port)
    assert sender.send(3) == [0] * 3
    away = node.archive.with_name("away")
    node.archive.rename(away)
    assert sender.send(3) == [OUT_OF_RESOURCES] * 3
    client.echo(Peer("127.0.0.1", node.port))
    with pytest.raises(PeerError, match="0xA700"):
        list(client.find(Peer("127.0.0.1", node.port), "STUDY", {"PatientID": PATIENT["PatientID"]}))
    assert not node.archive.exists()
    away.rename(node.archive)
    sender.send_refused_again()
    assert_whole(node, sender)


def test_a_database_that_is_replaced(start_node, tmp_path):
    """A copy takes the place of the file: what is acknowledged from then on is in the copy."""
    node = start_node()
    sender = Sender(node.port)
    assert sender.send(3) == [0] * 3
    node.archive.rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", node.archive)
    assert sender.send(3) == [0] * 3
    assert_whole(node, sender)


def test_a_database_that_may_not_be_opened(tmp_path, require_program):
    """Without the rights on the folder; root is held to them by taking its capabilities away."""
    if os.geteuid() != 0:
        pytest.skip("only root can give its capabilities away")
    dropped = "-dac_override,-dac_read_search"
    wrapper = (str(require_program("setpriv")), f"--bounding-set={dropped}", f"--inh-caps={dropped}")
    node = NodeProcess(tmp_path, wrapper=wrapper, workers=1).start()
    try:
        sender = Sender(node.port)
        assert sender.send(3) == [0] * 3
        node.archive.chmod(0)
        assert sender.send(3) == [OUT_OF_RESOURCES] * 3
        node.archive.chmod(0o700)
        sender.send_refused_again()
        assert_whole(node, sender)
    finally:
        node.archive.chmod(0o700)
        node.stop()


BROKEN = {
    "acknowledges what it could not store": "statuses.failure = lambda *_: 0x0000",
    "answers with a status of its own": "statuses._status = lambda code, _: 0xC123",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_the_harness_finds_a_broken_node(tmp_path, failing_disk, kind):
    """The same faults, below nodes that are wrong on purpose."""
    (tmp_path / "broken").mkdir()
    code = f"from mripacs.dimse import statuses\n{BROKEN[kind]}\n"
    (tmp_path / "broken" / "sitecustomize.py").write_text(code, encoding="utf-8")
    node = NodeProcess(tmp_path / "node", workers=0)
    node.environment = failing_disk.environment | {"PYTHONPATH": f"{tmp_path / 'broken'}:{REPOSITORY}"}
    node.start()
    try:
        sender = Sender(node.port)
        assert sender.send(3) == [0] * 3
        failing_disk.fail("sync", errno.EIO)
        sender.send(3)
        failing_disk.work()
        with pytest.raises(AssertionError):
            assert_refused_and_whole(node, sender)
    finally:
        node.stop()


def assert_refused_and_whole(node: NodeProcess, sender: Sender) -> None:
    assert set(sender.refused) <= {OUT_OF_RESOURCES}
    assert_whole(node, sender)
