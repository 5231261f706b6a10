"""Who may associate: by network, by title, and by how many are there already.

A refusal is an A-ASSOCIATE-RJ with the result, source and diagnostic of PS3.8 Table 9-21, and one log line.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from pynetdicom import evt

from mripacs.audit.message import AuditEvent, AuditRecord, Outcome
from mripacs.audit.trail import AuditTrail
from mripacs.core.settings import DimseSettings
from mripacs.dimse.audited import participants
from mripacs.dimse.connections import Connections
from mripacs.dimse.pace import Rate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and diagnostic of an A-ASSOCIATE-RJ, and what the log says."""

    result: int
    source: int
    diagnostic: int
    reason: str


UNKNOWN_NETWORK = Rejection(1, 1, 1, "its address is in none of the networks")  # permanent, user, no reason given
UNKNOWN_CALLING_TITLE = Rejection(1, 1, 3, "its title may not call")
UNKNOWN_CALLED_TITLE = Rejection(1, 1, 7, "no title of ours")
NOT_JUDGED = Rejection(2, 3, 1, "it could not be judged")  # transient, temporary congestion
TOO_FAST = Rejection(2, 3, 1, "too many association requests of its address")  # transient, temporary congestion
TOO_MANY = Rejection(2, 3, 2, "too many associations")  # transient, presentation related, local limit exceeded
TOO_MANY_OF_PEER = Rejection(2, 3, 2, "too many associations of its address")


@dataclass(frozen=True, slots=True)
class AccessControl:
    """Decides on every association request, on EVT_REQUESTED."""

    settings: DimseSettings
    connections: Connections
    rate: Rate  # of associations
    trail: AuditTrail | None = None

    def handle_request(self, event: evt.Event) -> None:
        """Reject what may not associate; returns when the rejection is on its way and the connection closed.

        What cannot be judged is rejected, too: pynetdicom only logs what a handler raises, and goes on to negotiate.
        """
        rejection: Rejection | None = NOT_JUDGED
        try:
            rejection = self._judged(event)
            if rejection is not None:
                self._tell(event, rejection)
        except Exception as error:  # noqa: BLE001 - whatever failed, nobody gets in by it
            log.error("association request of %s: %s", event.assoc.requestor.address, type(error).__name__)
        finally:
            if rejection is not None:
                _reject(event.assoc, rejection)

    def _judged(self, event: evt.Event) -> Rejection | None:
        calling, called = _titles(event)
        return self.judge(calling, called, event.assoc.requestor.address) or self._admit(event)

    def _tell(self, event: evt.Event, rejection: Rejection) -> None:
        """Tell the log and the audit trail."""
        calling, called = _titles(event)
        address = event.assoc.requestor.address
        log.warning("rejected %r at %s, which calls %r: %s", calling, address, called, rejection.reason)
        if self.trail is not None:
            peer, ours = participants(event)
            words = f"association rejected: {rejection.reason}"
            self.trail.record(
                AuditRecord(AuditEvent.REJECTED, Outcome.MINOR_FAILURE, peer, ours, peer, description=words)
            )

    def judge(self, calling: str, called: str, address: str) -> Rejection | None:
        """Why titles and address may not associate; None if they may."""
        settings = self.settings
        if settings.networks and not self._in_networks(address):
            return UNKNOWN_NETWORK
        if settings.calling_ae_titles and not _matches(calling, settings.calling_ae_titles):
            return UNKNOWN_CALLING_TITLE
        if settings.require_called_ae and called != settings.ae_title:
            return None if _matches(called, settings.called_ae_titles) else UNKNOWN_CALLED_TITLE
        return None

    def _in_networks(self, address: str) -> bool:
        try:
            parsed = _unmapped(ip_address(address))
        except ValueError:
            return False
        return any(parsed in network for network in self.settings.networks)

    def _admit(self, event: evt.Event) -> Rejection | None:
        if not self.rate.take(event.assoc.requestor.address):
            return TOO_FAST
        total, of_peer = self.connections.admit(event.assoc)
        if total > self.settings.max_associations:
            return TOO_MANY
        return TOO_MANY_OF_PEER if of_peer > self.settings.max_associations_per_peer else None


def _titles(event: evt.Event) -> tuple[str, str]:
    """The calling and the called title of a request."""
    request = event.assoc.requestor.primitive
    return request.calling_ae_title.strip(), request.called_ae_title.strip()


def _reject(association: Any, rejection: Rejection) -> None:
    association.is_rejected = True  # before the sending, which may fail: the association module negotiates unless set
    association.acse.send_reject(rejection.result, rejection.source, rejection.diagnostic)
    association.kill()


def _matches(title: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(title, pattern) for pattern in patterns)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """A socket that listens on :: sees an IPv4 peer as ::ffff:a.b.c.d."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
