"""The listening socket: how many connections, for how long, and one thread for each.

pynetdicom shakes hands in the loop that accepts, so that one silent peer keeps all others out; here the threads of a
`crew` accept in turn, and that which has a connection shakes hands and goes on as the association's (`direct`).
`ThreadedAssociationServer.serve_forever`, `shutdown`, `get_request` and `process_request_thread` are the seams.
"""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import threading
import time
import traceback
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.transport import ThreadedAssociationServer

from mripacs.core.settings import DimseSettings
from mripacs.dimse import crew
from mripacs.dimse.accepting import DirectHandler
from mripacs.dimse.connections import Connections
from mripacs.dimse.direct import is_direct
from mripacs.dimse.known_answers import KnownAnswers
from mripacs.dimse.tls_sockets import SharedTlsSocket

log = logging.getLogger(__name__)

# Connections beyond the associations allowed are still read as far as their request, so that they can be rejected.
SPARE_CONNECTIONS = 16
ABORT_S = 1.0  # for an A-ABORT to leave


class Listener(ThreadedAssociationServer):
    """A server whose connections cost a bounded number of threads, bytes and seconds."""

    request_queue_size = 128  # connections that the system keeps until they are accepted; 5 make a crowd's wait for 1 s

    def __init__(
        self,
        entity: AE,
        *arguments: Any,
        settings: DimseSettings,
        connections: Connections,
        max_dataset_bytes: int,
        answers_alike: bool = False,
        **more: Any,
    ) -> None:
        """answers_alike : to requests that its handlers let pass, they give the same answer each time."""
        self.known_answers: KnownAnswers | None = KnownAnswers() if answers_alike else None
        self.max_dataset_bytes = max_dataset_bytes  # of a message
        self._settings = settings
        self._connections = connections
        self._ending = threading.Event()
        super().__init__(entity, *arguments, request_handler=DirectHandler, **more)
        self.bind(evt.EVT_CONN_OPEN, self._guard)
        self.bind(evt.EVT_ACCEPTED, self._allow_idling)
        crew.wait_briefly(self.socket)
        crew.Crew(self.get_request, self._serve).engage()

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Until `shutdown`, end what has lasted too long; connections are accepted and served by other threads."""
        while not self._ending.wait(poll_interval):
            self.service_actions()

    def server_close(self) -> None:
        """Listen no longer: no association begins from here. Those under way are the entity's to abort."""
        self._ending.set()
        super().server_close()
        self._connections.close()

    def shutdown(self) -> None:
        """Listen no longer, and be none of the entity's servers."""
        self.server_close()
        self.ae._servers.remove(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; the handshake is `process_request_thread`'s."""
        connection, address = self.socket.accept()
        crew.wait_long(connection)
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

    def _serve(self, accepted: tuple[socket.socket, Any]) -> None:
        """One connection, to its end."""
        request, address = accepted
        try:
            if self.verify_request(request, address):
                self.process_request_thread(request, address)
            else:
                self.shutdown_request(request)
        except Exception:  # noqa: BLE001 - the thread has others to serve; what went wrong is told
            self.handle_error(request, address)

    def process_request_thread(self, request: socket.socket, client_address: Any) -> None:
        """Shake hands if TLS is asked for, then serve the association to its end."""
        connection = request
        try:
            connection = self._secured(request)
            _shake_hands(connection)
        except (OSError, ValueError) as error:  # ValueError: the socket is closed
            log.warning("no TLS with %s: %s", client_address[0], _reason(error))
            self.shutdown_request(connection)
        else:
            super().process_request_thread(connection, client_address)
        finally:
            self._connections.settle(connection)

    def service_actions(self) -> None:
        """Every half second: end associations that have lasted too long.

        pynetdicom collects garbage here, at every sixtieth connection: 150 ms in which nothing else happens.
        """
        for association in self._connections.take_older_than(self._settings.max_association_s):
            log.warning("association of %s aborted: it lasted too long", association.requestor.address)
            threading.Thread(target=_abort, args=(association,), name="abort", daemon=True).start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, if the association has not done so."""
        if request.fileno() >= 0:
            super().shutdown_request(request)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """A defect while a connection was served; only its type is told, its text may hold data."""
        error = sys.exc_info()[1]
        where = traceback.extract_tb(error.__traceback__)[-1] if error else None
        place = f"{where.filename}:{where.lineno}" if where else "unknown place"
        log.error("connection of %s failed: %s at %s", client_address[0], type(error).__name__, place)

    @property
    def active_associations(self) -> list[Association]:
        """Those that live; no other thread list holds them."""
        return self._connections.associations()

    def interrupt(self) -> None:
        """End every wait for the rest of a PDU, so that the associations can be aborted."""
        for association in self._connections.associations():
            _interrupt(association)

    def _secured(self, connection: socket.socket) -> socket.socket:
        """The connection for TLS if that is asked for; hands are shaken when it is known, so that it can be closed."""
        if self.ssl_context is None:
            return connection
        self.ssl_context.sslsocket_class = SharedTlsSocket
        secured: SharedTlsSocket = self.ssl_context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        self._connections.secured(connection, secured)
        return secured

    def _guard(self, event: evt.Event) -> None:
        if not self._connections.begin(event.assoc):
            event.assoc.kill()  # so that it ends as it starts
            self.shutdown_request(event.assoc.dul.socket.socket)

    def _allow_idling(self, event: evt.Event) -> None:
        event.assoc.dul.socket.socket.settimeout(self._settings.idle_timeout_s)


def _shake_hands(connection: socket.socket) -> None:
    if isinstance(connection, SharedTlsSocket):
        connection.do_handshake()
        connection.share()


def _reason(error: Exception) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)


def _interrupt(association: Any) -> None:
    if is_direct(association):
        association.dul.reader.interrupt()


def _abort(association: Any) -> None:
    """A-ABORT, then the end of the threads; `Association.abort` alone may close the socket before the PDU is sent."""
    _interrupt(association)
    association.abort(block=False)
    deadline = time.monotonic() + ABORT_S
    while association.dul.state_machine.current_state != "Sta1" and time.monotonic() < deadline:
        time.sleep(0.01)
    association.kill()
