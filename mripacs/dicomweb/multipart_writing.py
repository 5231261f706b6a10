"""Multipart bodies (RFC 2046 5.1, RFC 2387) that are sent part by part."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse

from mripacs.dicomweb.threads import in_thread

AHEAD = 2  # parts that are made while one is sent: decoding and the network overlap
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its content type, its bytes, and where it can be had alone."""

    content_type: str
    content: bytes
    location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


Maker = Callable[[], Part]  # called in a thread


class MultipartResponse(StreamingResponse):
    """multipart/related of parts that are made in threads, a few ahead of what is sent.

    An error while a part is made ends the connection, so that the client knows that the body is not whole.
    """

    def __init__(
        self, makers: Iterable[Maker], part_type: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        boundary = f"mripacs-{secrets.token_hex(16)}"
        content_type = f'multipart/related; type="{part_type}"; boundary={boundary}'
        super().__init__(_body(makers, boundary), status, headers, media_type=content_type)


async def _body(makers: Iterable[Maker], boundary: str) -> AsyncIterator[bytes]:
    opening = f"--{boundary}\r\n"
    async for part in _made_ahead(makers):
        yield (opening + _headers(part)).encode("latin-1")
        view = memoryview(part.content)
        for start in range(0, len(view), CHUNK_BYTES):
            yield bytes(view[start : start + CHUNK_BYTES])
        opening = f"\r\n--{boundary}\r\n"
    yield f"\r\n--{boundary}--\r\n".encode("latin-1")


def _headers(part: Part) -> str:
    lines = {"Content-Type": part.content_type, "Content-Length": str(len(part.content))}
    if part.location:
        lines["Content-Location"] = part.location
    return "".join(f"{name}: {value}\r\n" for name, value in (lines | part.headers).items()) + "\r\n"


async def _made_ahead(makers: Iterable[Maker]) -> AsyncIterator[Part]:
    remaining = iter(makers)
    waiting: deque[asyncio.Task[Part]] = deque()

    def fill() -> None:
        while len(waiting) < AHEAD and (maker := next(remaining, None)) is not None:
            waiting.append(asyncio.create_task(in_thread(maker)))

    try:
        fill()
        while waiting:
            part = await waiting.popleft()
            fill()
            yield part
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
