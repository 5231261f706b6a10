"""Acknowledged is durable: the node is killed while it stores, its codec processes too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading

import numpy as np
import pytest
from pydicom import dcmread

from tests.e2e.dcmtk import ENVIRONMENT
from tests.e2e.node_process import command_line, mripacs_json, wait_until
from tests.e2e.objects import COLUMNS, ROWS, mr_object, written
from tests.real_parts import program

SENDERS, OBJECTS = 4, 40
ACKNOWLEDGED_BEFORE_THE_KILL = 25


@pytest.fixture
def folders(tmp_path):
    """Files for each sender, every image different."""
    random = np.random.default_rng(8)
    made = []
    for sender in range(SENDERS):
        study = mr_object()
        same = {"StudyInstanceUID": study.StudyInstanceUID, "SeriesInstanceUID": study.SeriesInstanceUID}
        for number in range(OBJECTS):
            pixels = random.integers(0, 4000, (ROWS, COLUMNS), np.uint16).tobytes()
            written(
                mr_object(InstanceNumber=number, PixelData=pixels, **same), tmp_path / str(sender) / f"{number:03d}.dcm"
            )
        made.append(tmp_path / str(sender))
    return made


class Sender:
    """storescu on a folder, and the files whose success it reported."""

    def __init__(self, port, folder):
        command = [str(program("storescu")), "-v", "+sd", "-aec", "MRIPACS", "127.0.0.1", str(port), str(folder)]
        self._process = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.acknowledged = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        sending = None
        for line in self._process.stdout:
            if match := re.search(r"Sending file: (.*)", line):
                sending = match.group(1).strip()
            elif "Received Store Response (Success)" in line:
                self.acknowledged.append(sending)

    def end(self):
        self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()


def uids_of(files):
    return {str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in files}


def test_every_acknowledged_instance_survives_a_kill(start_node, folders):
    node = start_node(workers=2)
    node.sent.extend(path for folder in folders for path in folder.iterdir())
    senders = [Sender(node.port, folder) for folder in folders]
    wait_until(lambda: sum(len(s.acknowledged) for s in senders) >= ACKNOWLEDGED_BEFORE_THE_KILL, 60, "some successes")
    workers = node.codec_processes()
    node.kill()
    for sender in senders:
        sender.end()
    acknowledged = uids_of(path for sender in senders for path in sender.acknowledged)
    assert ACKNOWLEDGED_BEFORE_THE_KILL <= len(acknowledged) < SENDERS * OBJECTS
    assert workers
    wait_until(
        lambda: not any("spawn_main" in command_line(pid) for pid in workers), 20, "the end of the codec processes"
    )
    node.start()
    stored = set(node.certificates())
    assert acknowledged <= stored
    report = mripacs_json("--directory", node.archive, "admin", "verify")
    assert report == {"checked": len(stored), "findings": []}


def test_killed_codec_processes_cost_no_instance(start_node, folders):
    node = start_node(workers=2)
    node.sent.extend(folders[0].iterdir())
    sender = Sender(node.port, folders[0])
    wait_until(lambda: len(sender.acknowledged) >= 5, 60, "some successes")
    for pid in node.codec_processes():
        os.kill(pid, signal.SIGKILL)
    sender.end()
    assert len(sender.acknowledged) == OBJECTS
    assert set(node.certificates()) == uids_of(folders[0].iterdir())
    assert "a codec process died" in node.log
    assert {row["tier"] for row in node.certificates().values()} == {"kwavelet"}
