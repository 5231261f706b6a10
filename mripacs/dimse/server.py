"""The node's application entity: listens, limits, and ends."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, _config, evt

from mripacs import __version__
from mripacs.audit.message import AuditEvent, AuditRecord, Outcome, Participant
from mripacs.audit.syslog import syslog_of
from mripacs.audit.trail import AuditTrail
from mripacs.core import metrics
from mripacs.core.errors import SettingsError
from mripacs.core.tls_contexts import server_context
from mripacs.dimse import arenas
from mripacs.dimse.access import AccessControl
from mripacs.dimse.audited import audited
from mripacs.dimse.connections import Connections
from mripacs.dimse.destinations import routes
from mripacs.dimse.handlers import evt_handlers
from mripacs.dimse.listener import Listener
from mripacs.dimse.negotiation import QUERY_SYNTAXES, SERVICES
from mripacs.dimse.pace import Rate, paced
from mripacs.dimse.reporting import CommitmentProvider
from mripacs.dimse.requesting import DirectEntity

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)

# How long one thread keeps the interpreter from others. While 16 associations store, 99 in 100 C-ECHOs with their
# association are answered within 93 to 124 ms (5 ms, Python's own: 218 and 315); the rate of storing is the same.
SWITCH_INTERVAL_S = 0.0005
CONNECTION_TIMEOUT_S = 30.0  # to a C-MOVE destination; without it the system's two minutes

# pynetdicom logs identifiers (patient names) at INFO; our handlers log what happened, by UID.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"


class DicomServer:
    """Listens for associations and answers them from an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._settings = archive.settings.dimse
        self._server: Listener | None = None
        self._trail: AuditTrail | None = None
        self._commitment: CommitmentProvider | None = None

    @property
    def port(self) -> int:
        """The TCP port that is listened on, also where the settings left the choice to the system (0)."""
        return int(self._server.server_address[1]) if self._server else self._settings.port

    def start(self) -> None:
        """Begin to listen. Raises SettingsError when the address cannot be taken or a TLS file is wrong."""
        settings = self._settings
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        arenas.limit()
        tls = server_context(settings.tls)
        destinations = routes(settings.destinations, settings.tls)
        syslog = syslog_of(self._archive.settings.log, settings.tls)
        connections = Connections()
        metrics.ASSOCIATIONS.set_function(lambda: len(connections.associations()))
        self._trail = trail = AuditTrail(self._archive, syslog)
        self._commitment = commitment = CommitmentProvider(self._archive, destinations)
        access = AccessControl(settings, connections, Rate(settings.associations_per_minute_per_peer), trail)
        try:
            self._server = self._entity().make_server(
                (settings.host, settings.port),
                ssl_context=tls,
                evt_handlers=[(evt.EVT_REQUESTED, access.handle_request), *self._handlers(trail, commitment)],
                server_class=Listener,
                settings=settings,
                connections=connections,
                max_dataset_bytes=self._archive.settings.limits.max_object_bytes,
                answers_alike=True,  # handlers look at the titles, the address and the load, and refuse or let pass
            )
        except OSError as error:
            self.stop()
            raise SettingsError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
            ) from error
        self._server.ae._servers.append(self._server)  # what AE.shutdown ends
        commitment.start()
        threading.Thread(target=self._server.serve_forever, name="DICOM listener", daemon=True).start()
        self._tell(trail, AuditEvent.APPLICATION_START)
        log.info("%s listens on %s:%d%s", settings.ae_title, settings.host, self.port, " with TLS" if tls else "")

    def stop(self) -> None:
        """Abort what is under way and close the socket. An object not yet acknowledged is the sender's to repeat."""
        if self._commitment is not None:
            self._commitment.close()
            self._commitment = None
        if self._server is not None:
            self._server.server_close()  # first: what begins after the others were aborted would be served
            self._server.interrupt()
            self._server.ae.shutdown()
            self._server = None
            if self._trail is not None:
                self._tell(self._trail, AuditEvent.APPLICATION_STOP)
        if self._trail is not None:
            self._trail.close()
            self._trail = None

    def _tell(self, trail: AuditTrail, event: AuditEvent) -> None:
        """Tell the audit trail that the node starts or stops."""
        we = Participant(self._settings.ae_title, self._settings.host)
        words = f"mripacs {__version__}, process {os.getpid()}"
        trail.record(AuditRecord(event, Outcome.SUCCESS, we, we, we, description=words))

    def _handlers(
        self, trail: AuditTrail, commitment: CommitmentProvider
    ) -> list[tuple[evt.EventType, Callable[..., Any]]]:
        handlers = audited(evt_handlers(self._archive, commitment=commitment), trail)
        return paced(handlers, Rate(self._settings.requests_per_minute_per_peer))

    def _entity(self) -> AE:
        settings = self._settings
        entity = DirectEntity(ae_title=settings.ae_title)
        entity.maximum_associations = sys.maxsize  # counted by AccessControl, which knows what a peer is
        entity.maximum_pdu_size = settings.max_pdu_bytes
        entity.connection_timeout = CONNECTION_TIMEOUT_S
        entity.acse_timeout = settings.negotiation_timeout_s
        entity.dimse_timeout = settings.idle_timeout_s
        entity.network_timeout = settings.idle_timeout_s
        for service in SERVICES:
            entity.add_supported_context(service, QUERY_SYNTAXES)
        return entity
