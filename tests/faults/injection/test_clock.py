"""The clock is set back, and forward, under a running node (its monotonic clock goes on, as in reality)."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from mripacs.dimse import client
from mripacs.dimse.client import Peer
from tests import real_parts
from tests.e2e.node_process import NodeProcess, wait_until
from tests.e2e.raw_association import RawAssociation
from tests.faults.injection.sender import Sender, assert_whole

IDLE_S = 4
CONFIG = f"[dimse]\nidle_timeout_s = {IDLE_S}\n[archive]\nscrub_interval_hours = 1\n[web]\nenabled = false\n"


def other_clock(folder: Path) -> Path:
    """The library, compiled here."""
    library, source = folder / "other_clock.so", Path(__file__).with_name("other_clock.c")
    subprocess.run([real_parts.program("cc"), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def set_clock(path: Path, offset_s: int) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(f"{offset_s}\n", encoding="ascii")
    partial.rename(path)


def silent(port: int) -> socket.socket:
    """The connection of an association that says nothing."""
    return RawAssociation(port, [(MRImageStorage, ExplicitVRLittleEndian)])._socket


def is_silent_for(connection: socket.socket, seconds: float) -> bool:
    """Whether the node says nothing either for so long, and keeps it open."""
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    return False


def stays_idle(port: int, seconds: float) -> bool:
    """Whether an association that says nothing lives for so long."""
    with silent(port) as connection:
        return is_silent_for(connection, seconds)


def with_clock(folder: Path, clock: Path) -> NodeProcess:
    """A node whose wall clock is off by what the file says."""
    set_clock(clock, 0)
    node = NodeProcess(folder / "node", config=CONFIG, workers=0)
    node.environment = {"LD_PRELOAD": str(other_clock(folder)), "CLOCK_OFFSET": str(clock)}
    return node


def assert_served_in_time(node: NodeProcess, sender: Sender, clock: Path, offsets_days: tuple[int, ...]) -> None:
    """Whatever the wall clock says, and while it is set in the middle of an association's silence."""
    for days in offsets_days:
        set_clock(clock, days * 86400)
        start = time.monotonic()
        assert sender.send(2) == [0, 0], days
        client.echo(Peer("127.0.0.1", node.port))
        assert time.monotonic() - start < 20
        assert stays_idle(node.port, IDLE_S / 2), f"ended too early, {days} days off"
        with silent(node.port) as connection:
            set_clock(clock, (days - 2) * 86400)
            assert not is_silent_for(connection, IDLE_S * 3), f"never ended, {days} days off"


def test_the_clock_is_set(tmp_path):
    """Instances are stored, idle associations end in their time, events keep their order, the scrub does not stop."""
    clock = tmp_path / "clock"
    node = with_clock(tmp_path, clock).start()
    try:
        sender = Sender(node.port)
        assert_served_in_time(node, sender, clock, (0, -3, 400, -365))
        set_clock(clock, 0)
        wait_until(lambda: "scrub: " in node.log, 30, "a scrub")
        with closing(sqlite3.connect(f"file:{node.archive / 'mripacs.db'}?mode=ro", uri=True)) as database:
            storages = "SELECT uid, time FROM audit WHERE kind = 'store' ORDER BY instance_id"
            stored, times = map(list, zip(*database.execute(storages), strict=True))
        assert stored == list(sender.acknowledged)
        assert times != sorted(times), "the node's clock was never set: the test shows nothing"
        assert_whole(node, sender)
    finally:
        node.stop()
