"""TLS connections that one thread reads while another one sends.

An association's owner waits in a read when a commitment's report goes out from another thread. OpenSSL forbids two
calls at once on a connection, and Python 3.11 does not keep them apart: reads ended as if the peer had closed, in the
midst of a C-STORE. Here each call has the connection for itself and never waits in it; who waits, waits beside it.
Seam: `SSLContext.sslsocket_class`.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class SharedTlsSocket(ssl.SSLSocket):
    """After `share`, `recv`, `recv_into`, `send`, `sendall` and `pending` may be called by several threads."""

    _turn: threading.Lock
    _patience_s: float | None
    _is_shared: bool

    def __new__(cls, *arguments: Any, **more: Any) -> Self:
        """Python makes these sockets without calling their constructor."""
        made = super().__new__(cls, *arguments, **more)
        made._turn, made._patience_s, made._is_shared = threading.Lock(), None, False
        return made

    def share(self) -> None:
        """From here calls wait outside of OpenSSL. To be called once, after the handshake."""
        self._patience_s = super().gettimeout()
        super().settimeout(0)
        self._is_shared = True

    def settimeout(self, value: float | None) -> None:
        """As any socket's; of a call of any thread."""
        if self._is_shared:
            self._patience_s = value
        else:
            super().settimeout(value)

    def gettimeout(self) -> float | None:
        """What `settimeout` was given."""
        return self._patience_s if self._is_shared else super().gettimeout()

    def read(self, len: int = 1024, buffer: Any = None) -> bytes:
        """What has come; `recv` and `recv_into` end here."""
        return self._patiently(lambda: super(SharedTlsSocket, self).read(len, buffer))

    def send(self, data: Any, flags: int = 0) -> int:
        """Send some of the bytes; `sendall` ends here."""
        return self._patiently(lambda: super(SharedTlsSocket, self).send(data, flags))

    def pending(self) -> int:
        """How many bytes are decrypted and not read."""
        with self._turn:
            return super().pending()

    def shutdown(self, how: int) -> None:
        """As a plain socket's: SSLSocket's own drops the cipher, and what another thread sends would leave in plain."""
        socket.socket.shutdown(self, how)

    def _patiently(self, attempt: Callable[[], Result]) -> Result:
        """Attempt it until the connection is ready for it. Raises TimeoutError, and OSError of the connection."""
        if not self._is_shared:
            return attempt()
        deadline = None if self._patience_s is None else time.monotonic() + self._patience_s
        while True:
            try:
                with self._turn:
                    return attempt()
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            except ssl.SSLError:
                raise
            except ValueError as error:  # what ssl raises for a connection that another thread has closed
                raise _closed() from error
            self._await(wanted, deadline)

    def _await(self, wanted: int, deadline: float | None) -> None:
        left_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        number = self.fileno()
        if number < 0:  # closed by another thread
            raise _closed()
        poll = select.poll()
        poll.register(number, wanted)
        if not poll.poll(left_ms):
            raise TimeoutError("timed out")


def _closed() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))
