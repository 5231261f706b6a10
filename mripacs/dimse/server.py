"""The node's application entity: listens, limits, and ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pynetdicom import AE, _config
from pynetdicom.transport import ThreadedAssociationServer

from mripacs.core.errors import SettingsError
from mripacs.dimse.handlers import evt_handlers
from mripacs.dimse.negotiation import QUERY_SYNTAXES, SERVICES

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)

# pynetdicom logs identifiers (patient names) at INFO; our handlers log what happened, by UID.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"

ACSE_TIMEOUT_S = 30.0  # for a peer to finish association negotiation


class DicomServer:
    """Listens for associations and answers them from an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._settings = archive.settings.dimse
        self._server: ThreadedAssociationServer | None = None

    @property
    def port(self) -> int:
        """The TCP port that is listened on, also where the settings left the choice to the system (0)."""
        return int(self._server.server_address[1]) if self._server else self._settings.port

    def start(self) -> None:
        """Begin to listen. Raises SettingsError when the address cannot be taken."""
        settings = self._settings
        entity = AE(ae_title=settings.ae_title)
        entity.maximum_associations = settings.max_associations
        entity.maximum_pdu_size = settings.max_pdu_bytes
        entity.acse_timeout = ACSE_TIMEOUT_S
        entity.dimse_timeout = settings.idle_timeout_s
        entity.network_timeout = settings.idle_timeout_s
        entity.require_called_aet = settings.require_called_ae
        for service in SERVICES:
            entity.add_supported_context(service, QUERY_SYNTAXES)
        address = (settings.host, settings.port)
        try:
            self._server = entity.start_server(address, block=False, evt_handlers=evt_handlers(self._archive))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
            ) from error
        log.info("%s listens on %s:%d", settings.ae_title, settings.host, self.port)

    def stop(self) -> None:
        """Abort what is under way and close the socket. An object not yet acknowledged is the sender's to repeat."""
        if self._server is not None:
            self._server.ae.shutdown()
            self._server = None
