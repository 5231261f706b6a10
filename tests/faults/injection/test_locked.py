"""Another process holds the database: writers are refused in time, readers go on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from mripacs.dimse import client
from mripacs.dimse.client import Peer
from mripacs.store.engine import BUSY_TIMEOUT_S
from tests.faults.injection.sender import OUT_OF_RESOURCES, PATIENT, Sender, assert_whole

SENDERS = 6
SLACK_S = 8

HOLDER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


def test_locked_by_another_process(start_node):
    assert_refused_in_time(start_node())


def assert_refused_in_time(node):
    first = Sender(node.port)
    assert first.send(3) == [0] * 3
    senders = [Sender(node.port) for _ in range(SENDERS)]
    command = [sys.executable, "-c", HOLDER, str(node.archive / "mripacs.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        threads = [threading.Thread(target=sender.send) for sender in senders]
        for thread in threads:
            thread.start()
        peer = Peer("127.0.0.1", node.port)
        while any(thread.is_alive() for thread in threads):
            start = time.monotonic()
            client.echo(peer)
            assert len(list(client.find(peer, "STUDY", {"PatientID": PATIENT["PatientID"]}))) == 3
            assert time.monotonic() - start < SLACK_S
            time.sleep(1)
        holder.stdin.write("\n")
    assert [dict(sender.refused) for sender in senders] == [{OUT_OF_RESOURCES: 1}] * SENDERS
    slowest_s = max(sender.slowest_s for sender in senders)
    assert slowest_s < BUSY_TIMEOUT_S + SLACK_S, "an association waited behind all others"
    assert "locked by another process" in node.log
    for sender in senders:
        sender.send_refused_again()
    assert_whole(node, first, *senders)
