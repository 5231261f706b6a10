"""Nagle's algorithm off, on every socket: with it, each small response waits up to 40 ms for the peer's delayed ACK."""

from __future__ import annotations

import socket

from pynetdicom import evt


def send_without_delay(event: evt.Event) -> None:
    """On EVT_CONN_OPEN, as acceptor and as requestor: set TCP_NODELAY, which pynetdicom never does."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


NO_DELAY = (evt.EVT_CONN_OPEN, send_without_delay)
