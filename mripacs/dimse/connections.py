"""The connections of a server: how many there are, whose, and for how long.

A connection counts from its acceptance, so that peers which connect and say nothing cannot exhaust threads and files.
It is one entry from then on: becoming an association, it never counts twice and never not at all.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pynetdicom.association import Association


@dataclass(slots=True)
class _Entry:
    connection: socket.socket | None  # None: its association has started, or will never
    address: str
    opened: float
    association: Association | None = None
    admitted: bool = False
    ending: bool = False


@dataclass(slots=True)
class Connections:
    """Thread-safe. Associations leave by themselves when their thread ends."""

    _entries: list[_Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def open(self, connection: socket.socket, address: str) -> tuple[int, int]:
        """Count a connection just accepted; gives the numbers of all and of its address, itself included."""
        with self._lock:
            self._entries.append(_Entry(connection, address, time.monotonic()))
            if self._closed:
                _end(connection)
            addresses = [entry.address for entry in self._living()]
            return len(addresses), addresses.count(address)

    def secured(self, connection: socket.socket, by: socket.socket) -> None:
        """The TLS handshake gave the connection another socket."""
        with self._lock:
            for entry in self._entries:
                if entry.connection is connection:
                    entry.connection = by
            if self._closed:
                _end(by)

    def begin(self, association: Association) -> bool:
        """The association's connection, counted already, becomes it; its total time runs from here.

        False when none may begin any more: then it must not be served.
        """
        connection = association.dul.socket.socket
        with self._lock:
            if self._closed:
                return False
            for entry in self._entries:
                if entry.connection is connection:
                    entry.association, entry.opened = association, time.monotonic()
            return True

    def close(self) -> None:
        """Let no association begin from here, and end what has not become one: it may be in its TLS handshake."""
        with self._lock:
            self._closed = True
            for entry in self._entries:
                if entry.connection is not None and entry.association is None:
                    _end(entry.connection)

    def settle(self, connection: socket.socket) -> None:
        """The connection's association has started, or never will: then it does not count any longer."""
        with self._lock:
            for entry in self._entries:
                if entry.connection is connection:
                    entry.connection = None
            self._living()

    def admit(self, association: Association) -> tuple[int, int]:
        """Count an association that was requested; gives the numbers of all and of its address, itself included."""
        with self._lock:
            living = self._living()
            for entry in living:
                entry.admitted = entry.admitted or entry.association is association
            addresses = [entry.address for entry in living if entry.admitted and not _has_ended(entry.association)]
            return len(addresses), addresses.count(association.requestor.address)

    def take_older_than(self, seconds: float) -> list[Association]:
        """The associations that have lasted longer; each is given once."""
        limit = time.monotonic() - seconds
        with self._lock:
            overdue = [entry for entry in self._living() if entry.association and entry.opened < limit]
            overdue = [entry for entry in overdue if not entry.ending]
            for entry in overdue:
                entry.ending = True
        return [entry.association for entry in overdue if entry.association]

    def associations(self) -> list[Association]:
        """Those that live."""
        with self._lock:
            return [entry.association for entry in self._living() if entry.association]

    def _living(self) -> list[_Entry]:
        self._entries = [entry for entry in self._entries if entry.connection or _runs(entry.association)]
        return self._entries


def _end(connection: socket.socket) -> None:
    """End every wait of a connection; who waits closes it."""
    with suppress(OSError):  # the peer, or a handshake that wraps the socket just now, was faster
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # SSLSocket's own would drop its cipher


def _has_ended(association: Any) -> bool:
    """Whether it makes room for another, though its thread may still be closing the connection."""
    return bool(association.is_released or association.is_aborted or association.is_rejected)


def _runs(association: Association | None) -> bool:
    return association is not None and association.is_alive()
