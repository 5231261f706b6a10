"""Syslog messages (RFC 5424) over UDP (RFC 5426) or TCP (RFC 6587, octet counting)."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime

from mripacs.core.settings import LogSettings

PRIORITY = 85  # facility 10, security; severity 5, notice (PS3.15 A.7)
MESSAGE_ID = "DICOM+RFC3881"
TIMEOUT_S = 10.0
BYTE_ORDER_MARK = "\ufeff"  # RFC 5424 6.4: the message is UTF-8


def syslog_of(settings: LogSettings) -> Syslog | None:
    """The receiver that the settings name; None where they name none."""
    return Syslog(settings.syslog, settings.syslog_transport) if settings.syslog else None


class Syslog:
    """A receiver of messages. `send` is one thread's; an open TCP connection is kept and renewed."""

    def __init__(self, address: str, transport: str, application: str = "mripacs") -> None:
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._transport = transport
        self._header = f"{socket.gethostname() or '-'} {application} {os.getpid()} {MESSAGE_ID} -"
        self._connection: socket.socket | None = None

    def send(self, text: str) -> None:
        """Send one message. Raises OSError when the receiver cannot be reached; over TCP it was tried twice."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        message = f"<{PRIORITY}>1 {time} {self._header} {BYTE_ORDER_MARK}{text}".encode()
        if self._transport == "udp":
            self._connected().send(message)
            return
        framed = b"%d %b" % (len(message), message)
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
        if self._transport == "tcp":
            return socket.create_connection(self._address, TIMEOUT_S)
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.settimeout(TIMEOUT_S)
        made.connect(address)
        return made
