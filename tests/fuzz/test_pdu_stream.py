"""The running node among hostile peers: it answers others in time, keeps nothing of them, and stores nothing of theirs.

The seeds are fixed: a run can be had again. `make test-faults` plays longer with other seeds.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from mripacs.core.errors import PeerError
from mripacs.dimse import client
from mripacs.dimse.client import Peer
from tests.e2e.node_process import NodeProcess, wait_until
from tests.fuzz.hostile_peer import HostilePeer
from tests.fuzz.memory import resident_bytes

PEERS = 4
CONFIG = "[dimse]\nnegotiation_timeout_s = 2\nidle_timeout_s = 3\nmax_associations = 16\n[web]\nenabled = false\n"
ECHO_S = 5.0  # the slowest C-ECHO allowed, on a busy machine; 0.02 is usual
MAX_GROWTH = 48 * 2**20  # resident, after the first scripts have warmed everything up


class Watch:
    """Echoes the node while the block runs; `slowest_s` is the longest answer, `failed` how many had none."""

    def __init__(self, port: int) -> None:
        self._peer, self._ended = Peer("127.0.0.1", port, timeout_s=30), threading.Event()
        self._thread = threading.Thread(target=self._echo)
        self.slowest_s, self.failed, self.answered = 0.0, 0, 0

    def _echo(self) -> None:
        while not self._ended.wait(0.2):
            start = time.monotonic()
            try:
                client.echo(self._peer)
                self.answered += 1
            except PeerError:
                self.failed += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def play(port: int, seed: int, seconds: float) -> int:
    """Hostile peers at once, each with its own script, for some time; gives the number of scripts."""
    end = time.monotonic() + seconds
    peers = [HostilePeer(port, f"{seed} {number}") for number in range(PEERS)]

    def repeat(peer: HostilePeer) -> None:
        while time.monotonic() < end:
            peer.play()

    threads = [threading.Thread(target=repeat, args=(peer,)) for peer in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(peer.played for peer in peers)


def threads_and_files(pid: int) -> tuple[int, int]:
    """How many threads and open files a process has."""
    return tuple(len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("task", "fd"))  # type: ignore[return-value]


def rows(node: NodeProcess) -> dict[str, int]:
    """Rows by table, without the audit trail: queries and rejections are told."""
    counts = node.row_counts()
    return {table: counts[table] for table in ("study", "series", "instance", "payload", "header", "commitment")}


def assert_unharmed(node: NodeProcess, seed: int, seconds: float) -> int:
    """Play against the node, and find it as it was; gives the number of scripts played."""
    pid, stored = node.process.pid, rows(node)
    play(node.port, 0, 2)  # whatever is made at the first use is there
    settle(node)
    (threads, files), memory = threads_and_files(pid), resident_bytes(pid)
    with Watch(node.port) as watch:
        played = play(node.port, seed, seconds)
    assert watch.failed == 0, "somebody else was not answered"
    assert watch.slowest_s < ECHO_S, "somebody else was kept waiting"
    assert watch.answered >= 3

    def has_let_go() -> bool:
        now = threads_and_files(pid)
        return now[0] <= threads and now[1] <= files + 2  # connections to the database are kept

    wait_until(has_let_go, 20, f"{threads} threads and {files} files again (now {threads_and_files(pid)})")
    assert rows(node) == stored, "something was stored"  # before memory, of which storing takes some
    assert resident_bytes(pid) - memory < MAX_GROWTH, "memory has grown"
    assert "Traceback" not in node.log
    assert "a handler failed" not in node.log
    client.echo(Peer("127.0.0.1", node.port))
    return played


def settle(node: NodeProcess) -> None:
    """Wait until the node's threads no longer become fewer."""
    before = (10**9, 0)
    while (now := threads_and_files(node.process.pid)) < before:
        before = now
        time.sleep(4)


@pytest.fixture
def node(tmp_path: Path):
    made = NodeProcess(tmp_path / "node", config=CONFIG, workers=0).start()
    yield made
    made.stop()


def test_hostile_peers_for_a_moment(node) -> None:
    assert assert_unharmed(node, seed=1, seconds=6) > 20


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2, 8))
def test_hostile_peers(node, seed: int) -> None:
    assert assert_unharmed(node, seed, seconds=25) > 100


BROKEN = {  # by what the check says
    "threads and": (
        "import threading, time\n"
        "from mripacs.dimse.listener import Listener\n"
        "plain = Listener._guard\n"
        "def guard(self, event):\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "    plain(self, event)\n"
        "Listener._guard = guard\n"
    ),
    "somebody else was": (
        "import threading, time\n"
        "from mripacs.dimse.listener import Listener\n"
        "before, one_by_one = Listener.get_request, threading.Lock()\n"
        "def slow(self):\n"
        "    accepted = before(self)\n"
        "    with one_by_one:\n"
        "        time.sleep(3)\n"
        "    return accepted\n"
        "Listener.get_request = slow\n"
    ),
    "something was stored": "from mripacs.dicom import index\nindex.check_identity = lambda *_: None\n",
    "memory has grown": (
        "from mripacs.dimse.listener import Listener\n"
        "plain, kept = Listener._guard, []\n"
        "def guard(self, event):\n"
        "    kept.append(b'x' * (8 << 20))\n"
        "    plain(self, event)\n"
        "Listener._guard = guard\n"
    ),
}


@pytest.mark.faults
@pytest.mark.parametrize("words", BROKEN)
def test_the_harness_finds_a_broken_node(tmp_path: Path, words: str) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BROKEN[words], encoding="utf-8")
    node = NodeProcess(tmp_path / "node", config=CONFIG, workers=0)
    node.environment = {"PYTHONPATH": f"{folder}:{Path.cwd()}"}
    node.start()
    try:
        with pytest.raises(AssertionError, match=words):
            assert_unharmed(node, seed=1, seconds=6)
    finally:
        node.kill()


def test_the_log_of_the_audit_trail_is_bounded_by_what_was_asked(node) -> None:
    """Hostile peers that get no association write no events: the database cannot be filled from outside."""
    play(node.port, 3, 2)
    with closing(sqlite3.connect(f"file:{node.archive / 'mripacs.db'}?mode=ro", uri=True)) as database:
        kinds = {kind for (kind,) in database.execute("SELECT DISTINCT kind FROM audit")}
    assert kinds <= {"start", "query"}
