"""A parser of multipart bodies (RFC 2046 5.1) that keeps a part's headers and one chunk in memory, never a body.

Bytes go in as they come; events come out: a part begins with its headers, has some bytes, ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mripacs.dicomweb.problems import RequestError

MAX_HEADER_BYTES = 16384  # of one part; real ones have a hundred
MAX_PREAMBLE_BYTES = 65536  # before the first boundary
MAX_PARTS = 100_000
LONGEST_BOUNDARY = 70  # RFC 2046 5.1.1


@dataclass(frozen=True, slots=True)
class PartBegins:
    """The headers of a part, by lower-case name."""

    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class PartBytes:
    """Some bytes of its content."""

    content: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part is whole."""


Event = PartBegins | PartBytes | PartEnds


class MultipartParser:
    """Feed it bytes, read its events; `close` says that the body has ended. Raises RequestError 400 for a broken body.

    boundary : as the Content-Type names it.
    """

    def __init__(self, boundary: str) -> None:
        if not 1 <= len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii() or boundary != boundary.rstrip():
            raise RequestError(400, f"Content-Type needs a boundary of 1 to {LONGEST_BOUNDARY} ASCII characters")
        self._delimiter = b"\r\n--" + boundary.encode()
        self._buffer = bytearray(b"\r\n")  # the first boundary may stand at the very start
        self._step = self._preamble
        self.parts = 0
        self._done = False

    def feed(self, content: bytes) -> Iterator[Event]:
        """The events that these bytes complete."""
        if self._done:
            return  # an epilogue means nothing
        self._buffer += content
        while (events := self._step()) is not None:
            yield from events
            if self._done:
                self._buffer.clear()
                return

    def close(self) -> None:
        """The body has ended. Raises RequestError when its last boundary has not come."""
        if not self._done:
            nothing = "before its first boundary: does it begin with the one that Content-Type names?"
            where = f"inside part {self.parts}" if self.parts else nothing
            raise RequestError(400, f"the multipart body ends {where}")

    def _preamble(self) -> list[Event] | None:
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            del self._buffer[: at + len(self._delimiter)]
            self._step = self._after_boundary
            return []
        if len(self._buffer) > MAX_PREAMBLE_BYTES:
            raise RequestError(400, "the boundary that Content-Type names does not stand in the body")
        return None

    def _after_boundary(self) -> list[Event] | None:
        """What follows a boundary: two hyphens after the last, else blanks and the end of the line."""
        if len(self._buffer) < 2:
            return None
        if self._buffer.startswith(b"--"):
            self._done = True
            return []
        end = self._buffer.find(b"\r\n")
        if end < 0 and len(self._buffer) <= LONGEST_BOUNDARY:
            return None
        if end < 0 or self._buffer[:end].strip(b" \t"):
            raise RequestError(400, f"a boundary after part {self.parts} is followed by something else on its line")
        del self._buffer[:end]  # the line's end stays: it ends headers that are empty
        self._step = self._headers
        return []

    def _headers(self) -> list[Event] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEADER_BYTES or (end < 0 and len(self._buffer) > MAX_HEADER_BYTES):
            raise RequestError(400, f"part {self.parts + 1} has more than {MAX_HEADER_BYTES} bytes of headers")
        if end < 0:
            return None
        headers = _parse_headers(bytes(self._buffer[:end]))
        del self._buffer[: end + 2]  # the blank line's end stays: it may begin the delimiter of an empty part
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise RequestError(413, f"more than {MAX_PARTS} parts: send them in several requests")
        self._step = self._first_content
        return [PartBegins(headers)]

    def _first_content(self) -> list[Event] | None:
        """The line end before the content belongs to the headers, or to the delimiter behind no content at all."""
        start = bytes(self._buffer[: len(self._delimiter)])
        if len(start) < len(self._delimiter) and self._delimiter.startswith(start):
            return None
        if start != self._delimiter:
            del self._buffer[:2]
        self._step = self._content
        return []

    def _content(self) -> list[Event] | None:
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            events: list[Event] = [PartBytes(bytes(self._buffer[:at]))] if at else []
            del self._buffer[: at + len(self._delimiter)]
            self._step = self._after_boundary
            return [*events, PartEnds()]
        sure = len(self._buffer) - len(self._delimiter) + 1  # behind that a delimiter may have begun
        if sure <= 0:
            return None
        events = [PartBytes(bytes(self._buffer[:sure]))]
        del self._buffer[:sure]
        return events


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if line and not colon:
            raise RequestError(400, "a part has a header line without a colon")
        if line:
            headers[name.strip().lower()] = value.strip()
    return headers
