"""uvicorn's HTTP protocol, bounded: heads of requests have a length and a time, so that no client can take memory or
places for nothing; and answers leave in one write. Seams: `HttpToolsProtocol`'s `connection_made`, `data_received` and
the parser's callbacks, and its attribute `transport`, of which it only writes, closes and asks whether it is closing.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mripacs.dicomweb.one_write import OneWrite

MAX_HEAD_BYTES = 256 << 10  # request line and headers, with what the same packet holds of the body
HEAD_S = 20.0  # from the first byte, or the connection, to the end of the headers


class BoundedHttp(HttpToolsProtocol):
    """Closes connections whose request's head is too long or too slow."""

    _in_head = True
    _head_bytes = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.transport = OneWrite(transport, self.loop)  # where uvicorn writes; its flow control keeps the other
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers end."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too long.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._stop_waiting()
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is whole; another request may follow."""
        super().on_message_complete()
        self._in_head = True

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._in_head = True
        self._patience = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
