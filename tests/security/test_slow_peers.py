"""Peers that are slow, beside peers that are in a hurry: each has its own time, and no more of it than is allowed."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from mripacs.dimse import client
from mripacs.dimse.client import Peer
from mripacs.dimse.pace import Rate
from tests.e2e.objects import encoded, mr_object
from tests.e2e.raw_association import RawAssociation, RejectedError, _command
from tests.security.test_hostile_peers import fragment_of, seconds_until_closed, status_of

CONTEXT = (MRImageStorage, ExplicitVRLittleEndian)
PIECES = 6


def trickle(association: RawAssociation, dataset: bytes, pause_s: float) -> None:
    """A C-STORE request whose data set comes in pieces, with a pause before each."""
    association._send(1, _command(MRImageStorage, "1.2.3", 1), is_command=True)
    size = len(dataset) // PIECES + 1
    for start in range(0, len(dataset), size):
        time.sleep(pause_s)
        last = start + size >= len(dataset)
        association._socket.sendall(fragment_of(1, 2 * last, dataset[start : start + size]))


def slow_object() -> bytes:
    return encoded(mr_object(SOPInstanceUID="1.2.3"))


def test_a_sender_slower_than_the_idle_time_in_all_but_never_idle(serve):
    """Six pieces, each within the idle time of 3 s, together longer than it."""
    server, archive = serve(dimse={"idle_timeout_s": 3.0})
    with RawAssociation(server.port, [CONTEXT]) as association:
        start = time.monotonic()
        trickle(association, slow_object(), 0.7)
        assert time.monotonic() - start > 3.0
        assert status_of(association._read_message()) == 0
    assert sum(1 for _ in archive) == 1


def test_a_sender_that_takes_longer_than_an_association_may_last(serve):
    """The total time ends it, however busy it looks; nothing of the half object is kept."""
    server, archive = serve(dimse={"idle_timeout_s": 3.0, "max_association_s": 2.0})
    association = RawAssociation(server.port, [CONTEXT])
    with association._socket, suppress(ConnectionError):  # whichever piece meets the closed connection
        trickle(association, slow_object(), 1.0)
        assert seconds_until_closed(association._socket) < 10
    assert sum(1 for _ in archive) == 0
    client.echo(Peer("127.0.0.1", server.port))


def test_a_peer_slower_than_the_pace_never_waits():
    now = [0.0]
    rate = Rate(60, lambda: now[0])
    for _ in range(100):
        assert rate.reserve("slow") == 0.0
        now[0] += 1.0


def test_who_hurries_does_not_slow_others_down(serve):
    """127.0.0.2 has used up its pace and waits; 127.0.0.1 is answered meanwhile."""
    server, _ = serve(dimse={"requests_per_minute_per_peer": 6})
    entity = AE()
    entity.add_requested_context(Verification)
    entity.dimse_timeout = 3
    hasty = entity.associate("127.0.0.1", server.port, bind_address=("127.0.0.2", 0))
    assert hasty.is_established
    assert hasty.send_c_echo().Status == 0
    waiting = threading.Thread(target=hasty.send_c_echo)
    waiting.start()
    time.sleep(0.2)
    try:
        client.echo(Peer("127.0.0.1", server.port))
        assert waiting.is_alive(), "the pace of 127.0.0.2 was never used up: the test shows nothing"
    finally:
        hasty.abort()
        waiting.join(30)


def hold(made: ExitStack, port: int, count: int) -> None:
    """Associations of 127.0.0.2, until one is rejected."""
    for _ in range(count):
        made.enter_context(RawAssociation(port, [CONTEXT], address="127.0.0.2"))


@pytest.mark.parametrize("setting", ["max_associations_per_peer", "associations_per_minute_per_peer"])
def test_the_limits_of_one_address_are_not_those_of_another(serve, setting):
    server, _ = serve(dimse={setting: 1})
    with ExitStack() as made:
        with pytest.raises(RejectedError):
            hold(made, server.port, 8)
        client.echo(Peer("127.0.0.1", server.port))
