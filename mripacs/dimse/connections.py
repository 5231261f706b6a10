"""The connections of a server: how many there are, whose, and for how long.

A connection counts from its acceptance, so that peers which connect and say nothing cannot exhaust threads and files.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from pynetdicom.association import Association


@dataclass(slots=True)
class _Entry:
    association: Association
    address: str
    opened: float
    admitted: bool = False
    ending: bool = False


@dataclass(slots=True)
class Connections:
    """Thread-safe. Associations leave by themselves when their thread ends."""

    _entries: list[_Entry] = field(default_factory=list)
    _opening: dict[int, str] = field(default_factory=dict)  # by identity of the socket: TLS handshake under way
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, connection: int, address: str) -> tuple[int, int]:
        """Count a connection just accepted; gives the numbers of all and of its address, itself included."""
        with self._lock:
            self._opening[connection] = address
            addresses = [*self._opening.values(), *(entry.address for entry in self._living())]
            return len(addresses), addresses.count(address)

    def opened(self, connection: int) -> None:
        """The connection has become an association, or nothing."""
        with self._lock:
            self._opening.pop(connection, None)

    def begin(self, association: Association) -> None:
        """Count an association that is about to start; its total time runs from here."""
        with self._lock:
            self._entries.append(_Entry(association, association.requestor.address, time.monotonic()))

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
            overdue = [entry for entry in self._living() if entry.opened < limit and not entry.ending]
            for entry in overdue:
                entry.ending = True
        return [entry.association for entry in overdue]

    def associations(self) -> list[Association]:
        """Those that live."""
        with self._lock:
            return [entry.association for entry in self._living()]

    def _living(self) -> list[_Entry]:
        self._entries = [entry for entry in self._entries if _lives(entry.association)]
        return self._entries


def _has_ended(association: Association) -> bool:
    """Whether it makes room for another, though its thread may still be closing the connection."""
    return bool(association.is_released or association.is_aborted or association.is_rejected)


def _lives(association: Association) -> bool:
    """Whether its thread is yet to start or runs."""
    return association.ident is None or association.is_alive()
