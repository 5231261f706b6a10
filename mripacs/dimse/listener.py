"""The listening socket: how many connections, for how long, and the TLS handshake in a thread of its own.

pynetdicom shakes hands in the loop that accepts, so that one silent peer keeps all others out; here the loop only
accepts. `ThreadedAssociationServer.get_request`, `process_request_thread` and `service_actions` are its seams.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from mripacs.core.settings import DimseSettings
from mripacs.dimse.connections import Connections
from mripacs.dimse.pdu_reader import PduReader

log = logging.getLogger(__name__)

# Connections beyond the associations allowed are still read as far as their request, so that they can be rejected.
SPARE_CONNECTIONS = 16
ABORT_S = 1.0  # for an A-ABORT to leave


class Listener(ThreadedAssociationServer):
    """A server whose connections cost a bounded number of threads, bytes and seconds."""

    def __init__(
        self, entity: AE, *arguments: Any, settings: DimseSettings, connections: Connections, **more: Any
    ) -> None:
        self._settings = settings
        self._connections = connections
        super().__init__(entity, *arguments, **more)
        self.bind(evt.EVT_CONN_OPEN, self._guard)
        self.bind(evt.EVT_ACCEPTED, self._allow_idling)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; the handshake is `process_request_thread`'s."""
        connection, address = self.socket.accept()
        connection.settimeout(self._settings.negotiation_timeout_s)
        return connection, address

    def verify_request(self, request: socket.socket, client_address: Any) -> bool:
        """Whether there is room for the connection; it is closed if not."""
        total, of_peer = self._connections.open(request, client_address[0])
        settings = self._settings
        if (
            total <= settings.max_associations + SPARE_CONNECTIONS
            and of_peer <= settings.max_associations_per_peer + SPARE_CONNECTIONS
        ):
            return True
        self._connections.settle(request)
        log.warning("closed a connection of %s: %d are open, %d of them its", client_address[0], total, of_peer)
        return False

    def process_request_thread(self, request: socket.socket, client_address: Any) -> None:
        """Shake hands if TLS is asked for, then start the association's own thread."""
        connection = request
        try:
            connection = self._secured(request)
        except (OSError, ValueError) as error:  # ValueError: the socket is closed
            log.warning("no TLS with %s: %s", client_address[0], _reason(error))
            self.shutdown_request(request)
        else:
            super().process_request_thread(connection, client_address)
        finally:
            self._connections.settle(connection)

    def service_actions(self) -> None:
        """Every half second: end associations that have lasted too long."""
        super().service_actions()
        for association in self._connections.take_older_than(self._settings.max_association_s):
            log.warning("association of %s aborted: it lasted too long", association.requestor.address)
            threading.Thread(target=_abort, args=(association,), name="abort", daemon=True).start()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """A connection that failed before its association began."""
        log.warning("connection of %s failed", client_address[0])

    def interrupt(self) -> None:
        """End every wait for the rest of a PDU, so that the associations can be aborted."""
        for association in self._connections.associations():
            _interrupt(association)

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self.ssl_context is None:
            return connection
        secured: ssl.SSLSocket = self.ssl_context.wrap_socket(connection, server_side=True)
        self._connections.secured(connection, secured)
        return secured

    def _guard(self, event: evt.Event) -> None:
        self._connections.begin(event.assoc)
        PduReader(event.assoc.dul, self._settings.max_pdu_bytes).install()

    def _allow_idling(self, event: evt.Event) -> None:
        event.assoc.dul.socket.socket.settimeout(self._settings.idle_timeout_s)


def _reason(error: Exception) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)


def _interrupt(association: Any) -> None:
    reader = getattr(association.dul._read_pdu_data, "__self__", None)
    if isinstance(reader, PduReader):
        reader.interrupt()


def _abort(association: Any) -> None:
    """A-ABORT, then the end of the threads; `Association.abort` alone may close the socket before the PDU is sent."""
    _interrupt(association)
    association.abort(block=False)
    deadline = time.monotonic() + ABORT_S
    while association.dul.state_machine.current_state != "Sta1" and time.monotonic() < deadline:
        time.sleep(0.01)
    association.kill()
