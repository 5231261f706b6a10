"""Multipart bodies (RFC 2046 5.1, RFC 2387), whole or sent part by part."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from starlette.responses import Response, StreamingResponse

from mripacs.dicomweb.threads import in_thread

FIRST_CHUNK_BYTES = 64 << 10  # then twice as many each time: the client need not wait for many parts at first
CHUNK_BYTES = 1 << 20  # that are made at once and sent at once: a hop to a thread and back takes 0.1 ms, a slice 0.1


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its content type, its bytes, and where it can be had alone."""

    content_type: str
    content: bytes
    location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


Maker = Callable[[], Part]  # called in a thread


class MultipartResponse(StreamingResponse):
    """multipart/related of parts that are made in threads: some ahead of what is sent.

    parts : is iterated in threads, by one at a time. An error while a part is made ends the connection, so
    that the client knows that the body is not whole.
    """

    def __init__(
        self, parts: Iterable[Part], part_type: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        boundary = _new_boundary()
        super().__init__(_sent(_pieces(parts, boundary)), status, headers, media_type=_media_type(part_type, boundary))


def made(makers: Iterable[Maker]) -> Iterator[Part]:
    """Parts of functions that make them."""
    return (maker() for maker in makers)


def whole_response(
    parts: Iterable[Part], part_type: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """multipart/related of small parts that are there, with its length. To be called in a thread."""
    boundary = _new_boundary()
    body = b"".join(_pieces(parts, boundary))
    return Response(body, status, headers, media_type=_media_type(part_type, boundary))


def _new_boundary() -> str:
    return f"mripacs-{secrets.token_hex(16)}"


def _media_type(part_type: str, boundary: str) -> str:
    return f'multipart/related; type="{part_type}"; boundary={boundary}'


def _pieces(parts: Iterable[Part], boundary: str) -> Generator[bytes, None, None]:
    """The body, a part's head and its content by turns."""
    opening = f"--{boundary}\r\n"
    for part in parts:
        yield (opening + _headers(part)).encode("latin-1")
        yield part.content
        opening = f"\r\n--{boundary}\r\n"
    yield f"\r\n--{boundary}--\r\n".encode("latin-1")


def _headers(part: Part) -> str:
    lines = {"Content-Type": part.content_type, "Content-Length": str(len(part.content))}
    if part.location:
        lines["Content-Location"] = part.location
    return "".join(f"{name}: {value}\r\n" for name, value in (lines | part.headers).items()) + "\r\n"


async def _sent(pieces: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """The body in chunks, the next one made while one is sent."""
    size = FIRST_CHUNK_BYTES
    ahead = asyncio.ensure_future(in_thread(_chunk, pieces, size))
    try:
        while chunks := await asyncio.shield(ahead):  # a thread that runs cannot be stopped
            size = min(2 * size, CHUNK_BYTES)
            ahead = asyncio.ensure_future(in_thread(_chunk, pieces, size))
            for chunk in chunks:
                yield chunk
    finally:
        ahead.add_done_callback(lambda last: _end(last, pieces))


def _end(last: asyncio.Future[list[bytes]], pieces: Generator[bytes, None, None]) -> None:
    """When no thread makes parts any more: stop reading ahead."""
    if not last.cancelled():
        last.exception()  # raised already, or nobody is there to be told
    pieces.close()


def _chunk(pieces: Iterator[bytes], at_least: int) -> list[bytes]:
    """The next bytes of the body: in one piece, or in several of CHUNK_BYTES for a large part; none at the end."""
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= at_least:
            break
    if size < 2 * CHUNK_BYTES:
        return [b"".join(taken)] if taken else []
    return [bytes(part) for piece in taken for part in _slices(piece)]


def _slices(piece: bytes) -> Iterator[memoryview]:
    view = memoryview(piece)
    return (view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES))
