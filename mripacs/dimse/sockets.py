"""Sockets as they are opened: no Nagle's algorithm, and no endless wait for a peer that has stopped reading."""

from __future__ import annotations

import socket

from pynetdicom import evt

SEND_TIMEOUT_S = 60.0  # as requestor, where pynetdicom takes every time-out away; acceptors have the node's idle time


def send_without_delay(event: evt.Event) -> None:
    """On EVT_CONN_OPEN, as acceptor and as requestor: set TCP_NODELAY, which pynetdicom never does.

    Without it each small response waits up to 40 ms for the peer's delayed ACK.
    """
    connection = event.assoc.dul.socket.socket
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if event.assoc.is_requestor:
        connection.settimeout(SEND_TIMEOUT_S)


NO_DELAY = (evt.EVT_CONN_OPEN, send_without_delay)
