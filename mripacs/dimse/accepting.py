"""From an accepted connection to its association, without what pynetdicom copies and looks up for each.

Its `RequestHandler._create_association` copies the supported contexts deeply (0.45 ms of processor time) though
negotiation only reads them, asks the resolver for two addresses that are numbers already (1.6 ms by the clock), and
binds each handler under a lock. `_create_association` is the seam.
"""

from __future__ import annotations

from typing import Any

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.transport import AddressInformation, AssociationSocket, RequestHandler

from mripacs.dimse.direct import DirectAssociation


class DirectHandler(RequestHandler):
    """Serves one connection of a `Listener`, in the thread that it is made in."""

    def _create_association(self) -> DirectAssociation:
        entity, server = self.ae, self.server
        association = DirectAssociation(
            entity, MODE_ACCEPTOR, entity.maximum_pdu_size, server.max_dataset_bytes, server.ae_title
        )
        association._server = server
        association.set_socket(AssociationSocket(association, client_socket=self.request))
        acceptor = association.acceptor
        acceptor.address_info = numeric_address(server.server_address)
        acceptor.supported_contexts = list(server.contexts)
        association.requestor.address_info = numeric_address(self.client_address)
        association._handlers = _copied(server._handlers)
        return association


def numeric_address(address: tuple[Any, ...]) -> AddressInformation:
    """A socket's address as pynetdicom wants it; it is no name, so nothing is looked up."""
    made = AddressInformation.__new__(AddressInformation)
    made._addr, made.port = address[0], address[1]
    made.flowinfo, made.scope_id = (address[2], address[3]) if len(address) == 4 else (0, 0)
    return made


def _copied(handlers: dict[evt.EventType, Any]) -> dict[evt.EventType, Any]:
    """Handlers by event; those of notifications are lists, which associations may change."""
    return {event: list(bound) if isinstance(bound, list) else bound for event, bound in handlers.items()}
