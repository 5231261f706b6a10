"""The upper layer without threads: what it does as pynetdicom's does, what it saves, and the places that it takes."""

from __future__ import annotations

import gc
import inspect
import itertools
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom import AE, evt, fsm
from pynetdicom import association as association_module
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ASSOCIATE_AC, A_RELEASE_RP
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.service_class import QueryRetrieveServiceClass, ServiceClass
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FindModel
from pynetdicom.sop_class import Verification
from pynetdicom.transport import RequestHandler

from mripacs.cli.node_bench import command_set as fields
from mripacs.cli.node_bench import upper_layer as bench
from mripacs.core.settings import DimseSettings
from mripacs.dimse import find_scp, messages
from mripacs.dimse.connections import Connections
from mripacs.dimse.direct import DirectAssociation, is_direct
from mripacs.dimse.listener import Listener
from mripacs.dimse.receiving import BoundedBuffer
from mripacs.dimse.requesting import DirectEntity
from mripacs.dimse.sending import MAX_PARTS, send_all
from mripacs.dimse.sockets import NO_DELAY
from mripacs.dimse.upper_layer import RELEASE_RP
from tests.e2e.node_process import wait_until

ECHOES = 50
ECHO = fields.encode_command(
    {
        fields.AFFECTED_SOP_CLASS: Verification,
        fields.COMMAND_FIELD: fields.C_ECHO_RQ,
        fields.MESSAGE_ID: 1,
        fields.DATASET_TYPE: fields.NO_DATASET,
    }
)


@contextmanager
def listening(handlers=(), direct=True, **more):
    """The port of an entity for echo, queries and MR images, and a list of its associations."""
    messages.install()
    find_scp.install()
    associations = []
    entity = DirectEntity() if direct else AE()
    for uid in (Verification, FindModel, MRImageStorage):
        entity.add_supported_context(uid)
    bound = [NO_DELAY, (evt.EVT_ACCEPTED, lambda event: associations.append(event.assoc)), *handlers]
    if not direct:
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=bound)
    else:
        settings, connections = DimseSettings(idle_timeout_s=5), Connections()
        server = entity.make_server(
            ("127.0.0.1", 0),
            evt_handlers=bound,
            server_class=Listener,
            settings=settings,
            connections=connections,
            max_dataset_bytes=2**20,
            **more,
        )
        entity._servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], associations
    finally:
        server.shutdown()


def until(condition):
    wait_until(condition, 10, "what the test waits for")


def raw(port, *abstract_syntaxes):
    """A client's association on a bare socket."""
    return bench.Association(port, "ANY-SCP", [bench.Proposal(str(uid)) for uid in abstract_syntaxes])


def request(port, *abstract_syntaxes, handlers=()):
    entity = DirectEntity()
    for uid in abstract_syntaxes:
        entity.add_requested_context(uid)
    return entity.associate("127.0.0.1", port, evt_handlers=list(handlers))


def echo(association):
    association.send(association.message(association.context(Verification), ECHO))
    return fields.number_of(association.receive().command, fields.STATUS)


def test_one_thread_serves_an_association():
    until(lambda: all(thread.name != "association" for thread in threading.enumerate()))  # of other tests
    with listening() as (port, associations):
        before = threading.active_count()
        with raw(port, Verification) as association:
            assert echo(association) == 0
            assert threading.active_count() == before + 1
            assert is_direct(associations[0])
            assert associations[0].is_alive()
        until(lambda: threading.active_count() == before)
        assert not associations[0].is_alive()
        assert associations[0].is_released
        assert associations[0].dul.state_machine.current_state == "Sta1"


def test_a_requested_association_needs_no_thread():
    with listening() as (port, _):
        before = set(threading.enumerate())
        association = request(port, Verification)
        assert len(set(threading.enumerate()) - before) == 1  # the acceptor's
        assert association.is_established
        assert association.is_alive()
        assert association.send_c_echo().Status == 0
        association.release()
        assert association.is_released
        assert not association.is_alive()


def test_nothing_is_kept_of_what_was_received():
    """An association that idles costs no memory: the last object's data set went with its answer."""
    others, sizes = filled_buffers(), []  # of tests before this one
    handlers = [(evt.EVT_C_STORE, lambda event: sizes.append(len(event.request.DataSet.getvalue())) or 0)]
    with listening(handlers) as (port, associations), raw(port, MRImageStorage) as association:
        command = fields.encode_command(
            {
                fields.AFFECTED_SOP_CLASS: MRImageStorage,
                fields.COMMAND_FIELD: fields.C_STORE_RQ,
                fields.MESSAGE_ID: 1,
                fields.PRIORITY: 2,
                fields.DATASET_TYPE: 1,
                fields.AFFECTED_SOP_INSTANCE: "1.2.3",
            }
        )
        association.send(association.message(association.context(MRImageStorage), command, bytes(2**19)))
        assert fields.number_of(association.receive().command, fields.STATUS) == 0
        assert sizes == [2**19]
        until(lambda: all(any(each is other for other in others) for each in filled_buffers()))
        assert associations[0].is_alive()


def filled_buffers():
    return [each for each in gc.get_objects() if type(each) is BoundedBuffer and len(each.getbuffer())]


@pytest.mark.parametrize("kind", ["abort", "close", "reset"])
def test_the_peer_goes_away(kind):
    ended = []
    handlers = [(evt.EVT_ABORTED, ended.append), (evt.EVT_CONN_CLOSE, ended.append)]
    with listening(handlers) as (port, associations):
        association = raw(port, Verification)
        until(lambda: associations)
        if kind == "abort":
            association.send(bench.HEADER.pack(7, 4) + bytes(4))
        if kind == "reset":
            association._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        association._incoming.close()
        association._socket.close()
        until(lambda: not associations[0].is_alive())
        assert associations[0].is_aborted
        assert len(ended) == 2


def test_the_acceptor_goes_away_while_a_requestor_idles():
    with listening() as (port, associations):
        association = request(port, Verification)
        until(lambda: associations)
        associations[0].abort()
        assert "Status" not in association.send_c_echo()
        assert not association.is_alive()


def test_another_thread_aborts():
    """The owner, waiting for the peer, sees it at once; the peer gets its A-ABORT."""
    with listening() as (port, associations):
        association = raw(port, Verification)
        until(lambda: associations and associations[0].is_established)
        started = time.monotonic()
        associations[0].abort(block=False)
        kind, _ = bench.read_pdu(association._incoming)
        assert kind == 7
        until(lambda: not associations[0].is_alive())
        assert time.monotonic() - started < 2


def test_the_end_of_the_entity_aborts_what_it_serves():
    with listening() as (port, associations):
        kept = [raw(port, Verification) for _ in range(2)]
        until(lambda: len(associations) == 2)
        assert set(associations[0].ae.active_associations) == set(associations)
        for association in associations[0].ae.active_associations:  # what AE.shutdown does first
            association.abort()
        assert [bench.read_pdu(each._incoming)[0] for each in kept] == [7, 7]
        until(lambda: not associations[0].ae.active_associations)
    assert "for assoc in self.active_associations" in source_of(ApplicationEntity.shutdown)


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_pdu_that_comes_in_pieces(timeout):
    with listening() as (port, associations):
        association = raw(port, Verification)
        until(lambda: associations)
        associations[0].dul.socket.socket.settimeout(timeout)
        message = association.message(association.context(Verification), ECHO)
        for piece in (message[:3], message[3:20], message[20:-1], message[-1:]):
            time.sleep(0.05)
            association.send(piece)
        assert fields.number_of(association.receive().command, fields.STATUS) == 0
        association._socket.close()


def test_an_association_that_idles_is_aborted():
    with listening([(evt.EVT_ACCEPTED, lambda event: setattr(event.assoc, "network_timeout", 0.3))]) as (port, made):
        association = raw(port, Verification)
        kind, _ = bench.read_pdu(association._incoming)
        assert kind == 7
        until(lambda: not made[0].is_alive())


def test_a_silent_connection_ends_with_the_artim_timer():
    with listening() as (port, _), socket.create_connection(("127.0.0.1", port), 10) as silent:
        before = threading.active_count()
        silent.shutdown(socket.SHUT_WR)
        assert silent.recv(1) == b""
        until(lambda: threading.active_count() <= before)


def test_release_requested_by_the_acceptor():
    """The acceptor asks, as requestor and acceptor may alike (PS3.8 7.2); the peer answers."""
    with listening() as (port, associations):
        association = request(port, Verification)
        until(lambda: associations and associations[0].is_established)
        acceptor = associations[0]
        acceptor.acse.send_release()
        association.dul.read_until(association._has_work, 5)
        assert association.acse.is_release_requested()
        association._release()
        until(lambda: acceptor.dul.to_user_queue.queue or not acceptor.is_alive())
        assert association.is_released


RELEASE_RQ = bench.HEADER.pack(bench.RELEASE_RQ, 4) + bytes(4)


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_release_is_answered_as_pynetdicoms_actions_do(is_watched):
    sent = []
    handlers = [(evt.EVT_PDU_SENT, lambda event: sent.append(type(event.pdu)))] if is_watched else []
    with listening(handlers) as (port, associations):
        association = raw(port, Verification)
        with association._socket as connection, association._incoming as incoming:
            connection.sendall(RELEASE_RQ)
            assert incoming.read() == A_RELEASE_RP(A_RELEASE()).encode()  # and then the end
        until(lambda: not associations[0].is_alive())
        assert associations[0].is_released
        assert associations[0].dul.state_machine.current_state == "Sta1"
    assert sent == ([A_ASSOCIATE_AC, A_RELEASE_RP] if is_watched else [])


def test_who_listens_sees_known_answers_and_releases():
    sent = []
    handlers = [(evt.EVT_ACSE_SENT, lambda event: sent.append(type(event.primitive)))]
    with listening(handlers, answers_alike=True) as (port, associations):
        for _ in range(2):
            with raw(port, Verification) as association:
                assert echo(association) == 0
        until(lambda: not any(each.is_alive() for each in associations))
    assert sent == 2 * [A_ASSOCIATE, A_RELEASE]


def test_an_abort_of_another_thread_before_the_release_is_answered(monkeypatch, caplog):
    plain, ends = DirectAssociation._release, []

    def late(association):
        aborting = threading.Thread(target=association.abort, kwargs={"block": False})
        aborting.start()
        aborting.join()
        plain(association)

    monkeypatch.setattr(DirectAssociation, "_release", late)
    handlers = [
        (kind, lambda event: ends.append(event.event))
        for kind in (evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE)
    ]
    with listening(handlers) as (port, associations):
        association = raw(port, Verification)
        with association._socket as connection, association._incoming as incoming:
            connection.sendall(RELEASE_RQ)
            assert incoming.read()[:1] == b"\7"  # A-ABORT, and nothing after it
        until(lambda: not associations[0].is_alive())
    assert (associations[0].is_aborted, associations[0].is_released) == (True, False)
    assert ends == [evt.EVT_ABORTED, evt.EVT_CONN_CLOSE]
    assert "InvalidEventError" not in caplog.text


@pytest.mark.parametrize("more", [b"", RELEASE_RQ, bytes(100), bytes(100_000)], ids=len)
def test_what_comes_after_a_release_does_not_take_its_answer_away(more):
    """A connection that is closed with bytes unread is reset, and what was sent over it may be lost."""
    for _ in range(20):
        with listening() as (port, _):
            association = raw(port, Verification)
            with association._socket as connection, association._incoming as incoming:
                connection.sendall(RELEASE_RQ + more)
                assert incoming.read()[:10] == RELEASE_RP


def matches(event):
    """Endless, until cancelled."""
    for number in itertools.count():
        if event.is_cancelled:
            yield 0xFE00, None
            return
        found = Dataset()
        found.QueryRetrieveLevel, found.PatientID = "STUDY", str(number)
        yield 0xFF00, found
        time.sleep(0.0005)


def test_a_cancel_is_seen_between_matches():
    with listening([(evt.EVT_C_FIND, matches)]) as (port, _), raw(port, FindModel) as association:
        context = association.context(FindModel)
        association.send(association.message(context, find_command(), b"\x08\0\x52\0\x06\0\0\0STUDY "))
        assert next_status(association) == 0xFF00
        cancel = {fields.COMMAND_FIELD: 0x0FFF, fields.ANSWERED_ID: 9, fields.DATASET_TYPE: fields.NO_DATASET}
        association.send(association.message(context, fields.encode_command(cancel)))
        later = list(
            itertools.takewhile(lambda status: status == 0xFF00, iter(lambda: next_status(association), 0xFE00))
        )
        assert len(later) < 1000  # half a second of them


def next_status(association):
    return fields.number_of(association.receive().command, fields.STATUS)


def find_command():
    return fields.encode_command(
        {
            fields.AFFECTED_SOP_CLASS: FindModel,
            fields.COMMAND_FIELD: fields.C_FIND_RQ,
            fields.MESSAGE_ID: 9,
            fields.PRIORITY: 0,
            fields.DATASET_TYPE: 1,
        }
    )


def identifiers(event):
    """Bytes, a data set, and what cannot be encoded."""
    yield 0xFF00, b"\x10\0\x20\0\x02\0\0\x0012"
    found = Dataset()
    found.PatientID = "34"
    yield 0xFF00, found
    if event.request.MessageID == 2:
        raise KeyError("a defect")
    if event.request.MessageID == 3:
        yield 0xFF00, Dataset()


@pytest.mark.parametrize(("message_id", "final"), [(1, 0x0000), (2, 0xC311), (3, 0xC312)])
@pytest.mark.parametrize("direct", [True, False])
def test_a_find_answers_as_pynetdicoms_does(message_id, final, direct):
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    with listening([(evt.EVT_C_FIND, identifiers)], direct) as (port, _):
        association = request(port, FindModel)
        found = list(association.send_c_find(asked, FindModel, msg_id=message_id))
        association.release()
    assert [status.Status for status, _ in found] == [0xFF00, 0xFF00, final]
    assert [match.PatientID for _, match in found[:2]] == ["12", "34"]


def test_many_matches_leave_in_few_calls(monkeypatch):
    """Pieces of 64 KB at least, or of 20 ms."""
    calls = []
    monkeypatch.setattr("mripacs.dimse.upper_layer.send_all", lambda *call: (calls.append(call), send_all(*call)))
    handlers = [(evt.EVT_C_FIND, lambda _: ((0xFF00, bytes(100)) for _ in range(2000)))]
    with listening(handlers) as (port, _), raw(port, FindModel) as association:
        context = association.context(FindModel)
        calls.clear()
        association.send(association.message(context, find_command(), b"\x08\0\x52\0\x06\0\0\0STUDY "))
        received = sum(1 for _ in range(2000) if association.receive().dataset_bytes == 100)
        assert fields.number_of(association.receive().command, fields.STATUS) == 0
    assert received == 2000
    assert len(calls) < 200


def test_a_cancel_that_came_with_its_request_is_seen_at_once():
    def find(event):
        for _ in range(20):
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, b"\x10\0\x20\0\x02\0\0\x0012"

    cancel = fields.encode_command({fields.COMMAND_FIELD: 0x0FFF, fields.ANSWERED_ID: 9, fields.DATASET_TYPE: 0x0101})
    with listening([(evt.EVT_C_FIND, find)]) as (port, _), raw(port, FindModel) as association:
        context = association.context(FindModel)
        request = association.message(context, find_command(), b"\x08\0\x52\0\x06\0\0\0STUDY ")
        association.send(request + association.message(context, cancel))
        assert next_status(association) == 0xFE00


@pytest.mark.parametrize("direct", [True, False])
def test_who_listens_sees_every_response(direct):
    statuses = []
    handlers = [
        (evt.EVT_C_FIND, lambda _: ((0xFF00, b"\x10\0\x20\0\x02\0\0\x0012") for _ in range(3))),
        (evt.EVT_DIMSE_SENT, lambda event: statuses.append(event.message.command_set.Status)),
    ]
    with listening(handlers, direct) as (port, _), raw(port, FindModel) as association:
        context = association.context(FindModel)
        association.send(association.message(context, find_command(), b"\x08\0\x52\0\x06\0\0\0STUDY "))
        assert [next_status(association) for _ in range(4)] == [0xFF00, 0xFF00, 0xFF00, 0x0000]
    assert statuses == [0xFF00, 0xFF00, 0xFF00, 0x0000]


def test_the_largest_pdu_is_the_peers():
    with listening() as (port, associations):
        association = request(port, Verification)
        until(lambda: associations and associations[0].is_established)
        for made in (association, associations[0]):
            plain = DIMSEServiceProvider(made).maximum_pdu_size
            assert [made.dimse.maximum_pdu_size, made.dimse.maximum_pdu_size] == [plain, plain]
        association.release()


def test_few_matches_leave_with_the_final_response(monkeypatch):
    calls = []
    monkeypatch.setattr("mripacs.dimse.upper_layer.send_all", lambda *call: (calls.append(call), send_all(*call)))
    handlers = [(evt.EVT_C_FIND, lambda _: ((0xFF00, bytes(100)) for _ in range(3)))]
    with listening(handlers) as (port, _), raw(port, FindModel) as association:
        context = association.context(FindModel)
        calls.clear()
        association.send(association.message(context, find_command(), b"\x08\0\x52\0\x06\0\0\0STUDY "))
        assert [next_status(association) for _ in range(4)] == [0xFF00, 0xFF00, 0xFF00, 0x0000]
        assert len(calls) == 1


@pytest.mark.parametrize("count", [1, MAX_PARTS - 1, 3 * MAX_PARTS])
def test_every_part_is_sent_in_order(count):
    """Through a buffer much smaller than what is sent, read in pieces of any size."""
    sender, receiver = socket.socketpair()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    parts = [bytes([number % 251]) * (number * 37 % 700) for number in range(count)]
    received = bytearray()

    def read():
        while chunk := receiver.recv(1013):
            received.extend(chunk)

    reading = threading.Thread(target=read)
    reading.start()
    with sender:
        sender.settimeout(10)
        send_all(sender, parts)
    reading.join(10)
    receiver.close()
    assert bytes(received) == b"".join(parts)


def test_it_is_still_worth_it():
    """Less than half of the calls, and no sleep: a sixth of the processor time when this was written.

    When pynetdicom's loops sleep no more, it has mended them. Counted, not timed: coverage slows our lines down and not
    pynetdicom's, and a busy machine whichever it will.
    """
    (theirs, sleeps), (ours, waits) = (calls_of_echoes(direct) for direct in (False, True))
    assert sleeps >= ECHOES
    assert waits == 0
    assert theirs > 2 * ours


def calls_of_echoes(direct):
    """Calls in all threads that serve them, and how many of them are of time.sleep."""
    calls = Counter()

    def count(_, event, function):
        calls[event] += 1
        calls["sleep"] += event == "c_call" and function is time.sleep

    threading.setprofile(count)
    try:
        with listening(direct=direct) as (port, _), raw(port, Verification) as association:
            for _ in range(ECHOES):
                echo(association)
    finally:
        threading.setprofile(None)
    return calls["call"] + calls["c_call"], calls["sleep"]


def source_of(thing):
    return inspect.getsource(thing)


def test_the_reactor_does_what_ours_does():
    source = source_of(Association._run_reactor)
    steps = ["sleep(0.001)", "get_msg(block=False)", "_serve_request(msg,", "is_release_requested()"]
    steps += ["send_release(is_response=True)", "is_aborted()", "dul.is_alive()", "idle_timer_expired()"]
    assert [source.find(step) for step in steps] == sorted(source.find(step) for step in steps)
    assert source.find(steps[0]) > 0
    assert "self.dul.start()" in source_of(Association.run_reactor)
    assert "self._run_reactor()" in source_of(Association.run_reactor)
    assert "self.dul.is_alive() and not self.dul.stop_dul()" in source_of(Association.kill)


def test_the_upper_layers_queues_are_read_as_ours_are():
    source = source_of(DULServiceProvider.run_reactor)
    for step in ("_process_recv_primitive()", "artim_timer.expired", 'put("Evt18")', "_idle_timer.restart()", "sleep("):
        assert step in source
    assert "to_provider_queue.queue[0]" in source_of(DULServiceProvider._process_recv_primitive)
    assert "to_user_queue.get(" in source_of(DULServiceProvider.receive_pdu)
    assert "to_user_queue.queue[0]" in source_of(DULServiceProvider.peek_next_pdu)
    for state, event in (("Sta6", "Evt9"), ("Sta8", "Evt9")):
        assert fsm.TRANSITION_TABLE[event, state] in ("DT-1", "AR-7")
    assert sum(event == "Evt9" for event, _ in fsm.TRANSITION_TABLE) == 2


def test_no_association_waits_at_the_points_that_are_always_passed():
    """Only threads that ours do without: `_run_reactor`, and who has just started the upper layer's."""
    source = inspect.getsource(association_module)
    assert source.count("_reactor_checkpoint.wait(") == source_of(Association._run_reactor).count("checkpoint.wait(")
    assert source.count("_dul_ready.wait(") == 2
    assert source.count("self.dul.start()") == 2


def test_a_release_is_what_ours_does():
    assert fsm.TRANSITION_TABLE["Evt14", "Sta8"] == "AR-4"
    source = source_of(fsm.AR_4)
    for step in ("_send(A_RELEASE_RP(", "artim_timer.start()", 'return "Sta13"'):
        assert step in source
    assert "_sent_release = True" in source_of(ACSE.send_release)


def test_handlers_that_are_unbound_leave_no_entry():
    """`nobody_listens` looks at the keys alone."""
    association = DirectAssociation(DirectEntity(), "requestor", 2**14, 2**20)
    before = association._handlers.keys() - {evt.EVT_PDU_SENT}
    association.bind(evt.EVT_PDU_SENT, print)
    assert not association.dul.is_unwatched()
    for handler, _ in list(association.get_handlers(evt.EVT_PDU_SENT)):
        association.unbind(evt.EVT_PDU_SENT, handler)
    assert association._handlers.keys() == before
    assert association.dul.is_unwatched()


def test_our_constructors_set_what_pynetdicoms_set():
    """What a thread is made of apart: neither is one."""
    ours = DirectAssociation(DirectEntity(), "requestor", 2**14, 2**20)
    plain = Association(AE(), "requestor")
    thread = {*vars(threading.Thread()), "_run_loop_delay"}
    for made, theirs in ((ours, plain), (ours.dul, plain.dul), (ours.dimse, plain.dimse)):
        missing = vars(theirs).keys() - vars(made).keys() - thread
        assert missing <= {"cancel_req", "_Thread__abc"}, type(made).__name__
    for name in ("network_timeout", "acse_timeout", "dimse_timeout", "connection_timeout", "network_timeout_response"):
        assert getattr(ours, name) == getattr(plain, name)
    for timer in ("artim_timer", "_idle_timer"):
        assert getattr(ours.dul, timer).timeout == getattr(plain.dul, timer).timeout
    assert ours.get_events() == plain.get_events()


def test_what_accepting_and_requesting_save_is_still_spent():
    made = source_of(RequestHandler._create_association)
    assert "deepcopy(self.server.contexts)" in made
    for step in ("maximum_length", "ae_title", "implementation_class_uid", "implementation_version_name", "set_socket"):
        assert step in made
    asked = source_of(ApplicationEntity.associate)
    for step in ("Association(self, MODE_REQUESTOR)", "deepcopy(contexts)", "assoc.request()", "assoc.start()"):
        assert step in asked


def test_find_is_served_by_this_method():
    find_scp.install()
    assert "_c_find_scp(" in source_of(QueryRetrieveServiceClass.SCP)
    assert "EVT_C_FIND" in source_of(ServiceClass._c_find_scp)
    assert QueryRetrieveServiceClass._c_find_scp is find_scp._find_scp
