"""The places in pynetdicom that limits and the listener take hold of; a new version that moves one must fail here."""

from __future__ import annotations

import inspect
import re

from pynetdicom import fsm, timer
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationServer, RequestHandler, ThreadedAssociationServer


def source_of(thing):
    return inspect.getsource(thing)


def test_the_reactor_asks_the_association_for_pdus_and_actions():
    assert "self._read_pdu_data()" in source_of(DULServiceProvider._is_transport_event)
    assert "self.state_machine.do_action(event)" in source_of(DULServiceProvider.run_reactor)


def test_fragments_go_to_the_associations_dimse_provider():
    assert "dul.assoc.dimse.receive_primitive(" in source_of(fsm.DT_2)
    assert "if self.message is None" in source_of(DIMSEServiceProvider.receive_primitive)


def test_messages_are_written_into_their_two_buffers():
    source = source_of(DIMSEMessage.decode_msg)
    assert "self.encoded_command_set.write(" in source
    assert "self.data_set).write(" in source


def test_handlers_are_called_before_the_association_starts():
    source = source_of(RequestHandler.handle)
    assert source.index("evt.EVT_CONN_OPEN") < source.index("assoc.start()")


def test_a_rejection_in_a_handler_ends_the_negotiation():
    source = source_of(Association.run_reactor)
    assert source.index("evt.EVT_REQUESTED") < source.index("self.is_rejected")


def test_the_listener_is_made_and_ended_by_the_entity():
    assert "server_class" in inspect.signature(ApplicationEntity.make_server).parameters
    assert "self._servers" in source_of(ApplicationEntity.shutdown)
    assert "self.ae._servers.remove(" in source_of(AssociationServer.shutdown)
    assert "self.finish_request(" in source_of(ThreadedAssociationServer.process_request_thread)
    assert "wrap_socket(" in source_of(AssociationServer.get_request)  # the handshake that Listener moves


def test_messages_are_queued_by_put():
    source = source_of(DIMSEServiceProvider.receive_primitive)
    assert "self.msg_queue.put((context_id, " in source
    assert "self.msg_queue.get(" in source_of(DIMSEServiceProvider.get_msg)


def test_timers_read_the_clock_by_one_name():
    assert "time.time()" in source_of(timer.Timer.start)
    assert "time.time()" in source_of(timer.Timer.remaining.fget)
    assert not re.search(r"(?<!time\.)time\(\)|monotonic|datetime", source_of(timer))
