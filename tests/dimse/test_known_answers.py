"""Answers to association requests that are given again: the same bytes, and only where they may be."""

from __future__ import annotations

import gc
import inspect
import socket
import time

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FindModel
from pynetdicom.sop_class import Verification

from mripacs.cli.node_bench import upper_layer as bench
from mripacs.dimse import known_requests
from mripacs.dimse.negotiation import accept_storage_contexts
from tests.dimse.test_upper_layer import echo, listening, raw, until

PROPOSALS = [
    bench.Proposal(str(Verification)),
    bench.Proposal(str(FindModel), ("1.2.840.10008.1.2.4.50",)),  # is rejected: no such syntax for queries
    bench.Proposal("1.2.840.10008.1.9"),  # and this is no service
    bench.Proposal(str(CTImageStorage), ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"), as_scp=True),
]
HANDLERS = [(evt.EVT_REQUESTED, accept_storage_contexts)]


@pytest.fixture
def negotiated(monkeypatch):
    """The associations that pynetdicom negotiated."""
    calls = []
    plain = ACSE._negotiate_as_acceptor
    monkeypatch.setattr(ACSE, "_negotiate_as_acceptor", lambda acse: (calls.append(acse.assoc), plain(acse)))
    return calls


def answer(port, proposals=PROPOSALS, user=b""):
    """The whole answer to a request, the association released after it."""
    request = bytearray(bench.request("ANY-SCP", "BENCH", tuple(proposals)))
    if user:  # appended to the user information, which is the last item
        start = request.rindex(b"\x50\0", 0, request.rindex(b"\x51\0\0\4"))
        request[start + 2 : start + 4] = (len(request) - start - 4 + len(user)).to_bytes(2, "big")
        request += user
        request[2:6] = (len(request) - 6).to_bytes(4, "big")
    with socket.create_connection(("127.0.0.1", port), 10) as connection, bench.buffered(connection) as incoming:
        connection.sendall(request)
        kind, body = bench.read_pdu(incoming)
        if kind == bench.ASSOCIATE_AC:
            connection.sendall(bench.HEADER.pack(bench.RELEASE_RQ, 4) + bytes(4))
            bench.read_pdu(incoming)
    return kind, body


def test_the_same_request_gets_the_same_bytes_without_negotiation(negotiated):
    with listening(HANDLERS, answers_alike=True) as (port, associations):
        first, second = answer(port), answer(port)
        assert first[0] == bench.ASSOCIATE_AC
        assert second == first
        until(lambda: len(associations) == 2)
        assert negotiated == [associations[0]]
        for name in ("_accepted_cx", "_rejected_cx"):
            assert getattr(associations[0], name) == getattr(associations[1], name)
        assert len(associations[1]._accepted_cx) == len(associations[1]._rejected_cx) == 2
        for side in ("requestor", "acceptor"):
            theirs, ours = (getattr(each, side) for each in associations)
            for name in ("ae_title", "maximum_length", "implementation_class_uid", "accepted_common_extended"):
                if side == "acceptor" or name != "accepted_common_extended":
                    assert getattr(ours, name) == getattr(theirs, name)
        assert associations[1].accepted_contexts[1].as_scu


def test_what_is_repeated_serves():
    with listening(HANDLERS, answers_alike=True) as (port, associations):
        for _ in range(3):
            with raw(port, Verification) as association:
                assert echo(association) == 0
        until(lambda: not any(each.is_alive() for each in associations))
        assert [each.is_released for each in associations] == [True] * 3


def test_other_requests_and_other_servers_are_negotiated(negotiated):
    with listening(HANDLERS, answers_alike=True) as (one, _), listening(HANDLERS, answers_alike=True) as (other, _):
        for port, proposals in ((one, PROPOSALS), (other, PROPOSALS), (one, PROPOSALS[:1]), (one, PROPOSALS[::-1])):
            answer(port, proposals)
        assert len(negotiated) == 4


def test_a_server_that_does_not_say_so_negotiates_each_time(negotiated):
    with listening(HANDLERS) as (port, _):
        assert answer(port) == answer(port)
        assert len(negotiated) == 2


def test_who_tells_a_user_is_negotiated_with_each_time(negotiated):
    user = b"\x58\0" + (2 + 2 + 4 + 2).to_bytes(2, "big") + b"\1\0\0\4user\0\0"
    with listening(HANDLERS, answers_alike=True) as (port, _):
        assert answer(port, user=user)[0] == bench.ASSOCIATE_AC
        answer(port, user=user)
        assert len(negotiated) == 2


def test_it_is_refused_each_time_that_it_may_not():
    """What is known is the answer to who may associate; whether he may is asked before."""
    refusing = []

    def refuse(event):
        if refusing:
            event.assoc.acse.send_reject(2, 3, 2)
            event.assoc.kill()

    with listening([(evt.EVT_REQUESTED, refuse), *HANDLERS], answers_alike=True) as (port, _):
        assert answer(port)[0] == bench.ASSOCIATE_AC
        refusing.append(True)
        kind, body = answer(port)
        assert (kind, body[1:]) == (3, bytes([2, 3, 2]))
        refusing.clear()
        assert answer(port)[0] == bench.ASSOCIATE_AC


def test_nothing_is_kept_of_a_server_that_ended():
    with listening(HANDLERS, answers_alike=True) as (port, associations):
        answer(port)
        until(lambda: associations and not associations[0].is_alive())
        answers = associations[0]._server.known_answers
        assert len(answers) == 1
    known_requests._kept.cache_clear()
    associations.clear()
    gc.collect()
    assert not answers


def test_the_seams_are_there():
    source = inspect.getsource(ACSE._negotiate_as_acceptor)
    for step in (
        "self.requestor.ae_title = assoc_rq.calling_ae_title",
        "self.acceptor._common_ext = ",
        "self.assoc._accepted_cx = {",
        "self.assoc._rejected_cx = [",
        "self.send_accept()",
        "EVT_ACCEPTED",
        "self.assoc.is_established = True",
        "EVT_ESTABLISHED",
    ):
        assert step in source
    assert "self.acceptor.primitive = primitive" in inspect.getsource(ACSE.send_accept)


def test_it_is_still_worth_it():
    """A third of the processor time when this was written; when it is not two thirds, pynetdicom has mended it."""
    theirs, ours = (min(seconds_of_associations(alike) for _ in range(3)) for alike in (False, True))
    assert ours < 0.67 * theirs


def seconds_of_associations(answers_alike):
    with listening(HANDLERS, answers_alike=answers_alike) as (port, _):
        began = time.process_time()
        for _ in range(20):
            answer(port, PROPOSALS * 15)  # as many contexts as scanners ask for
        return time.process_time() - began
