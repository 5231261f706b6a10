"""Who is called: C-MOVE destinations and requestors of storage commitment, with what their TLS needs."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from mripacs.core.settings import Destination
from mripacs.core.tls import TlsSettings
from mripacs.core.tls_contexts import client_tls


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an application entity."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None  # None: plain DICOM

    @property
    def tls_args(self) -> tuple[ssl.SSLContext, str] | None:
        """What `AE.associate` takes under that name: the context and the name that the certificate must hold."""
        return (self.tls, self.host) if self.tls else None


def routes(destinations: Mapping[str, Destination], own: TlsSettings) -> dict[str, Route]:
    """The destinations by AE title, their TLS files read once, now. Raises SettingsError naming the wrong file.

    own : the node's certificate is shown where a destination's table names none.
    """
    return {title: _route(destination, own) for title, destination in destinations.items()}


def _route(destination: Destination, own: TlsSettings) -> Route:
    context = client_tls(destination.tls, own).context() if destination.tls else None
    return Route(destination.host, destination.port, context)
