"""Syslog messages (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425)."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime

from mripacs.core.settings import LogSettings
from mripacs.core.tls import TlsSettings
from mripacs.core.tls_contexts import client_tls

PRIORITY = 85  # facility 10, security; severity 5, notice (PS3.15 A.7)
MESSAGE_ID = "DICOM+RFC3881"
APPLICATION = "mripacs"
TIMEOUT_S = 10.0
BYTE_ORDER_MARK = "\ufeff"  # RFC 5424 6.4: the message is UTF-8


def syslog_of(settings: LogSettings, own: TlsSettings) -> Syslog | None:
    """The receiver that the settings name; None where they name none.

    own : the node's certificate is shown where the settings name none. Raises SettingsError naming a wrong TLS file.
    """
    if settings.syslog is None:
        return None
    tls = client_tls(settings.syslog_tls, own).context() if settings.syslog_transport == "tls" else None
    return Syslog(settings.syslog, settings.syslog_transport, tls)


class Syslog:
    """A receiver of messages. `send` is one thread's; an open TCP or TLS connection is kept and renewed."""

    def __init__(self, address: str, transport: str, tls: ssl.SSLContext | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._transport = transport
        self._tls = tls
        self._header = f"{socket.gethostname() or '-'} {APPLICATION} {os.getpid()} {MESSAGE_ID} -"
        self._connection: socket.socket | None = None

    def send(self, text: str) -> None:
        """Send one message. Raises OSError when the receiver cannot be reached; over a stream it was tried twice."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        message = f"<{PRIORITY}>1 {time} {self._header} {BYTE_ORDER_MARK}{text}".encode()
        if self._transport == "udp":
            self._connected().send(message)
            return
        framed = b"%d %b" % (len(message), message)
        if self._connection is not None and _was_closed(self._connection):
            self.close()
        try:
            self._connected().sendall(framed)
        except OSError:  # the receiver was restarted, perhaps
            self.close()
            self._connected().sendall(framed)

    def close(self) -> None:
        """Close the connection; the next message opens another."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _connected(self) -> socket.socket:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> socket.socket:
        if self._transport != "udp":
            connection = socket.create_connection(self._address, TIMEOUT_S)
            return self._secured(connection)
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.settimeout(TIMEOUT_S)
        made.connect(address)
        return made

    def _secured(self, connection: socket.socket) -> socket.socket:
        """The connection after the handshake. Raises OSError (ssl.SSLError is one)."""
        if self._tls is None:
            return connection
        try:
            return self._tls.wrap_socket(connection, server_hostname=self._address[0])
        except OSError:
            connection.close()
            raise


def _was_closed(connection: socket.socket) -> bool:
    """Whether the receiver has left: what is written after that is accepted by the system and lost."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):  # the usual: receivers say nothing
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(TIMEOUT_S)
