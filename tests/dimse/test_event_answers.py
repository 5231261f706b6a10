"""Answers to event reports: the one that is awaited counts; late, repeated and unasked ones leave nothing behind."""

from __future__ import annotations

import inspect
import threading
from contextlib import contextmanager
from io import BytesIO

import pytest
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.sop_class import Verification

from mripacs.cli.node_bench import command_set as fields
from mripacs.dimse.event_answers import LARGEST_MESSAGE_ID, EventAnswers
from tests.dimse.test_upper_layer import echo, listening, raw, until

N_EVENT_REPORT_RSP = 0x8100
SUCCESS, FAILURE = 0x0000, 0x0110
TIMEOUT_S = 0.5


def answer(message_id, status, *, has_dataset=False):
    return fields.encode_command(
        {
            fields.COMMAND_FIELD: N_EVENT_REPORT_RSP,
            fields.ANSWERED_ID: message_id,
            fields.DATASET_TYPE: 1 if has_dataset else fields.NO_DATASET,
            fields.STATUS: status,
        }
    )


class Peer:
    """A client's association, and the acceptor's reports to it."""

    def __init__(self, association, acceptor):
        self.association, self.acceptor = association, acceptor
        self.context_id = association.context(Verification)

    @contextmanager
    def reported(self):
        """A report that has come: its message ID, and the statuses that its sender is told, after the block."""
        request, told = N_EVENT_REPORT(), []
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
        request.EventTypeID, request.EventInformation = 1, BytesIO(bytes(20))
        call = threading.Thread(target=lambda: told.append(self.acceptor.dimse.report_event(request, self.context_id)))
        call.start()
        yield fields.number_of(self.association.receive().command, fields.MESSAGE_ID), told
        call.join(10)

    def answer(self, message_id, status, dataset=b"", context_id=None):
        command = answer(message_id, status, has_dataset=bool(dataset))
        self.association.send(self.association.message(context_id or self.context_id, command, dataset))


@pytest.fixture
def peer():
    with listening() as (port, associations), raw(port, Verification) as association:
        until(lambda: associations and associations[0].is_established)
        associations[0].dimse_timeout = TIMEOUT_S
        yield Peer(association, associations[0])


def test_a_late_answer_is_not_the_next_reports(peer):
    with peer.reported() as (late, told):
        pass
    assert told == [None]
    peer.answer(late, SUCCESS)
    with peer.reported() as (second, told):
        peer.answer(late, SUCCESS)
        peer.answer(second, FAILURE)
    assert told == [FAILURE]


def test_each_answer_counts_for_its_own_report(peer):
    numbers = []
    for status in (SUCCESS, FAILURE, SUCCESS):
        with peer.reported() as (number, told):
            peer.answer(number, status)
            peer.answer(number, status ^ FAILURE)
        assert told == [status]
        numbers.append(number)
    assert len(set(numbers)) == 3


def test_an_answer_over_another_context_is_none(peer):
    with peer.reported() as (number, told):
        peer.answer(number, SUCCESS, context_id=peer.context_id + 2)
    assert told == [None]


def test_answers_that_nobody_asked_for_leave_nothing(peer, monkeypatch):
    taken = []
    plain = EventAnswers.take
    monkeypatch.setattr(EventAnswers, "take", lambda *given: (taken.append(0), plain(*given)))
    for number in range(200):
        peer.answer(number, SUCCESS, bytes(10000))
    assert echo(peer.association) == SUCCESS
    dimse = peer.acceptor.dimse
    assert len(taken) == 200
    assert dimse.msg_queue.empty()
    assert dimse.msg_queue.event_answers._awaited is None
    with peer.reported() as (number, told):
        peer.answer(number, FAILURE, bytes(10000))
    assert told == [FAILURE]


def test_message_ids_begin_anew_after_the_largest():
    answers = EventAnswers()
    numbers = [answers.expect(1).message_id for _ in range(LARGEST_MESSAGE_ID + 1)]
    assert numbers == [*range(1, LARGEST_MESSAGE_ID + 1), 1]


def test_what_a_valid_response_holds():
    """What an answer is known by; its data set is kept nowhere else than in the message."""
    assert set(N_EVENT_REPORT.RESPONSE_KEYWORDS) == {"MessageIDBeingRespondedTo", "Status"}
    source = inspect.getsource(DIMSEServiceProvider.receive_primitive)
    assert "self.message.data_set = BytesIO()" in source
    assert "self.msg_queue.put((context_id, " in source
