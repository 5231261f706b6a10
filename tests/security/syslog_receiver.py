"""A syslog server as audit messages meet it: over UDP, TCP or TLS, once."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from xml.etree import ElementTree

from mripacs.audit.syslog import BYTE_ORDER_MARK

TIMEOUT_S = 15
HEADER = re.compile(r"<85>1 \d{4}-\d\d-\d\dT[\d:.]+\+00:00 \S+ mripacs \d+ DICOM\+RFC3881 - ")


class Receiver:
    """A syslog server on loopback; `messages` is what it got, whole."""

    def __init__(self, transport, tls=None):
        self._tls = tls
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(TIMEOUT_S)
        self.messages, self.address = [], f"127.0.0.1:{self._socket.getsockname()[1]}"
        receive = self._datagrams if transport == "udp" else self._connections
        self.thread = threading.Thread(target=receive, daemon=True)
        if transport != "udp":
            self._socket.listen()
        self.thread.start()

    def _datagrams(self):
        try:
            while data := self._socket.recv(65536):
                self.messages.append(data.decode("utf-8"))
        except OSError:
            return

    def _connections(self):
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            secured = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            self._connection = secured
            with secured, secured.makefile("rb") as stream:
                while count := _count(stream):
                    self.messages.append(stream.read(count).decode("utf-8"))

    def hang_up(self):
        """End the connection, as a receiver does that is restarted."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(TIMEOUT_S)

    def close(self):
        self._socket.close()

    def wait_for(self, event_name, number=1):
        """The XML of that many messages with this Event ID's meaning."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            found = [root for root in map(parse, list(self.messages)) if meaning(root) == event_name]
            if len(found) >= number:
                return found
            assert time.monotonic() < deadline, f"no {event_name} among {self.messages}"
            time.sleep(0.02)


def _count(stream):
    digits = b""
    while (char := stream.read(1)) not in (b" ", b""):
        digits += char
    return int(digits or 0)


def parse(message):
    """The XML of a syslog message, whose header is checked."""
    header = HEADER.match(message)
    assert header, message[:120]
    body = message[header.end() :]
    assert body.startswith(BYTE_ORDER_MARK)
    return ElementTree.fromstring(body[1:])  # noqa: S314 - our own


def meaning(root):
    return root.find("EventIdentification/EventID").get("originalText")


@contextmanager
def receiving(transport, tls=None):
    """A receiver that is closed with the block."""
    receiver = Receiver(transport, tls)
    try:
        yield receiver
    finally:
        receiver.close()
