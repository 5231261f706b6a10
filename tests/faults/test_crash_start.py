"""A node that was killed serves again within 5 s on 10 000 instances, with all of SQLite's log still to be read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mripacs.cli.crash.copies import Copies
from mripacs.cli.crash.server import start_and_wait
from mripacs.dimse import client
from mripacs.store import Store
from tests.e2e.node_process import ENVIRONMENT, children_of
from tests.faults.crash_node import CrashNode

INSTANCES = 10_000
LIMIT_S = 5.0  # by the clock; where others keep the machine busy, of the node's own processor time


@pytest.mark.faults
def test_start_after_a_kill_on_ten_thousand_instances(tmp_path, shared_data, objects, fault_random, record):
    node, empty = CrashNode(tmp_path), CrashNode(tmp_path / "empty")
    sample = Copies(objects, fault_random).take(1)[0]
    empty.folder.mkdir()
    try:
        log_bytes = make_archive(node, shared_data)
        _start(empty, sample)  # so that programs and libraries are in the page cache
        load = os.getloadavg()[0]  # of the last minute: of others, and of the writer of the archive, who is one
        busy = load > os.cpu_count()
        of_empty, of_full = _start(empty, sample), _start(node, sample)
        with Store.open(node.url) as store:
            assert store.statistics().instances + store.waiting.totals()[0] == INSTANCES + 1
    finally:
        node.end()
        empty.end()
    where = f"start: {INSTANCES} instances, log of {log_bytes / 1e6:.0f} MB, load {load:.1f}"
    record(where, of_full, "empty:", of_empty)
    for what in ("echo",) if busy else ("echo by the clock", "store by the clock"):
        assert of_full[what] < LIMIT_S, f"load {load}"


def make_archive(node, shared_data):
    """An archive whose writer was killed; gives the bytes of SQLite's log."""
    node.archive.mkdir(mode=0o700)
    files = sorted((shared_data / "dev" / "neurolabusc__dcm_qa_stc").rglob("*.dcm"))[:20]
    program = [sys.executable, "-m", "tests.faults.crash_archive", node.url, str(node.folder), str(INSTANCES)]
    done = subprocess.run([*program, *map(str, files)], env=ENVIRONMENT, check=False, capture_output=True, timeout=600)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return (node.archive / "mripacs.db-wal").stat().st_size


def _start(node, sample):
    """Seconds to the first C-ECHO and C-STORE, by the clock and of all its processes' processor time; killed then."""
    peer = client.Peer("127.0.0.1", node.port)
    begun = time.monotonic()
    echo = start_and_wait(node, peer, 300)
    of_echo = _processor_seconds_of(node)
    (result,) = client.send(peer, [sample.received()])
    assert result.status == 0x0000, result
    store = time.monotonic() - begun
    of_store = _processor_seconds_of(node)
    node.kill()
    seconds = {"echo by the clock": echo, "store by the clock": store, "echo": of_echo, "store": of_store}
    return {what: round(value, 2) for what, value in seconds.items()}


def _processor_seconds_of(node):
    return sum(_processor_seconds(pid) for pid in (node.process.pid, *children_of(node.process.pid)))


def _processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
