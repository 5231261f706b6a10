"""Peers that are faster than allowed: their requests wait and succeed, their associations are rejected for now."""

from __future__ import annotations

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from mripacs.core.model import ReceivedObject
from mripacs.dimse import client
from mripacs.dimse.client import Peer
from mripacs.dimse.pace import BURST_S, MAX_ADDRESSES, MAX_WAIT_S, Rate
from tests.e2e.node_process import wait_until
from tests.e2e.objects import encoded, mr_object, written
from tests.e2e.raw_association import RawAssociation, RejectedError, _command

VERBATIM = {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP"]}


class Clock:
    """A time that a test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


def test_a_rate_lets_a_burst_through_and_then_one_an_interval():
    clock = Clock()
    rate = Rate(120, clock)
    burst = int(BURST_S / 0.5)
    assert [rate.take("a") for _ in range(burst + 1)] == [True] * burst + [False]
    assert rate.take("b")
    clock.now += 0.5
    assert [rate.take("a"), rate.take("a")] == [True, False]
    clock.now += 3600
    assert [rate.take("a") for _ in range(burst + 1)] == [True] * burst + [False]


@pytest.mark.parametrize("per_minute", [1, 7, 60, 100000])
def test_over_an_hour_no_more_than_the_rate_is_taken(per_minute):
    clock = Clock()
    rate = Rate(per_minute, clock)
    step = 60 / per_minute / 10
    taken = 0
    for _ in range(10 * per_minute * 60 if per_minute < 1000 else 100_000):
        taken += rate.take("a")
        clock.now += step
    minutes = (clock.now - Clock.now) / 60
    assert per_minute * minutes * 0.9 <= taken <= per_minute * minutes + per_minute * BURST_S / 60 + 2


def test_waits_add_up_to_a_limit():
    rate = Rate(60, Clock())
    waits = [rate.reserve("a") for _ in range(40)]
    assert waits[: int(BURST_S)] == [0.0] * int(BURST_S)
    assert waits[int(BURST_S)] == pytest.approx(1.0)
    assert waits[-1] == MAX_WAIT_S


def test_no_limit_and_many_addresses():
    assert all(Rate(0).take("a") for _ in range(1000))
    rate = Rate(1)
    for number in range(2 * MAX_ADDRESSES):
        rate.take(str(number))
    assert len(rate._expected) == MAX_ADDRESSES


def test_requests_wait_and_succeed(serve):
    """Four associations of one address against 240 a minute: all succeed, and no faster than allowed."""
    server, _ = serve(dimse={"requests_per_minute_per_peer": 240})
    datasets = [mr_object(**VERBATIM) for _ in range(32)]
    items = [
        ReceivedObject(encoded(each), ExplicitVRLittleEndian, MRImageStorage, each.SOPInstanceUID, "test")
        for each in datasets
    ]
    start = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        results = threads.map(
            lambda part: list(client.send(Peer("127.0.0.1", server.port), part)), [items[at::4] for at in range(4)]
        )
        assert [result.status for each in results for result in each] == [0] * 32
    assert time.monotonic() - start > (32 - BURST_S * 4) / 4 - 0.5
    assert len(list(client.find(Peer("127.0.0.1", server.port), "STUDY", {"Modality": "MR"}))) == 32


def test_dcmtk_waits(serve, require_program, tmp_path):
    """storescu as sites run it: slowed down, no file refused."""
    server, archive = serve(dimse={"requests_per_minute_per_peer": 240})
    files = [written(mr_object(**VERBATIM), tmp_path / f"{number}.dcm") for number in range(26)]
    start = time.monotonic()
    command = [require_program("storescu"), "-v", "127.0.0.1", str(server.port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout + done.stderr).count("Received Store Response (Success)") == 26
    assert time.monotonic() - start > 1
    assert len(list(archive)) == 26


def test_a_request_that_waits_ends_with_its_association(serve):
    """And is not carried out: or leaving would be a way around the rate."""
    server, archive = serve(dimse={"requests_per_minute_per_peer": 6})
    context = (MRImageStorage, ExplicitVRLittleEndian)
    first, second = mr_object(**VERBATIM), mr_object(**VERBATIM)
    with RawAssociation(server.port, [context]) as association:
        assert association.store(1, MRImageStorage, first.SOPInstanceUID, encoded(first)).status == 0
    before = threading.active_count()
    association = RawAssociation(server.port, [context])
    association._send(1, _command(MRImageStorage, second.SOPInstanceUID, 1), is_command=True)
    association._send(1, encoded(second), is_command=False)
    time.sleep(0.5)
    association._socket.close()
    wait_until(lambda: threading.active_count() <= before, 5, "the end of its threads")
    assert sum(1 for _ in archive) == 1  # compressed or not yet


def test_too_many_associations_are_rejected_for_now(serve, caplog):
    server, _ = serve(dimse={"associations_per_minute_per_peer": 60})
    rejections = []
    with ExitStack() as made:
        for _ in range(12):
            try:
                made.enter_context(RawAssociation(server.port, [(MRImageStorage, ExplicitVRLittleEndian)]))
            except RejectedError as rejected:
                rejections.append(rejected.args)
        assert 0 < len(rejections) <= 12 - BURST_S
        assert set(rejections) == {(2, 3, 1)}
        assert "too many association requests" in caplog.text
    time.sleep(1.1)
    client.echo(Peer("127.0.0.1", server.port))
