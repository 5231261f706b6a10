"""A transport that writes the head of an answer together with what follows it.

uvicorn writes head and body one after the other, and uvloop sends each at once. The head alone wakes the client, which
takes our processor, or finds no body yet and waits again: a frame of 32 KB took 0.3 to 0.5 ms more, at both ends.
"""

from __future__ import annotations

import asyncio
from typing import Any

HEAD_BYTES = 4096  # what is longer is sent at once; heads of ours have 300


class OneWrite(asyncio.Transport):
    """Holds a short write back until the next one, or until the event loop has done what is ready now."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        """Send bytes, soon."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif len(data) <= HEAD_BYTES:
            self._held = bytes(data)
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is held, and close when all is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport says of its connection."""
        return self._transport.get_extra_info(name, default)

    def _flush(self) -> None:
        if self._held and not self._transport.is_closing():
            held, self._held = self._held, b""
            self._transport.write(held)
