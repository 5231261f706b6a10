"""The end of a listener: what is no association yet never becomes one."""

from __future__ import annotations

import socket

import pytest
from pynetdicom import evt
from pynetdicom.sop_class import Verification

from mripacs.core.errors import PeerError
from mripacs.dimse.connections import Connections
from tests.dimse.test_upper_layer import listening, raw, until


def test_an_association_that_begins_as_the_listener_ends_is_not_served():
    """The end comes between the accept and the association, by a handler that is called before the listener's own."""
    requested, closed = [], []

    def end(event):
        closed.append(event.assoc)
        event.assoc._server.server_close()

    handlers = [(evt.EVT_CONN_OPEN, end), (evt.EVT_REQUESTED, requested.append)]
    with listening(handlers) as (port, associations):
        with pytest.raises((PeerError, ConnectionError)):
            raw(port, Verification)
        until(lambda: not closed[0]._server._connections._entries)
    assert requested == associations == []
    assert not closed[0].is_alive()


def test_associations_under_way_outlive_the_listener():
    """They are the entity's to abort."""
    with listening() as (port, associations):
        with raw(port, Verification):
            until(lambda: associations and associations[0].is_established)
            associations[0]._server.server_close()
            assert associations[0].is_alive()
        until(lambda: not associations[0].is_alive())
        assert associations[0].is_released


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_what_comes_to_closed_connections_is_ended(is_wrapped):
    connections = Connections()
    ours, theirs = socket.socketpair()
    other, their_other = socket.socketpair()
    with ours, theirs, other, their_other:
        if is_wrapped:
            connections.open(ours, "127.0.0.1")
            connections.secured(ours, other)
        connections.close()
        if not is_wrapped:
            connections.open(other, "127.0.0.1")
        their_other.settimeout(5)
        assert their_other.recv(1) == b""
