"""Byte ranges (RFC 9110 14): one range is answered with 206; several, or what cannot be read, with the whole."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from mripacs.dicomweb.problems import RequestError

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def ranged(request: Request, content: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The content or the part of it that Range asks for. Raises RequestError 416 for what lies behind its end."""
    bounds = byte_range(request.headers.get("range"), len(content))
    if_range = request.headers.get("if-range")
    if bounds is None or (if_range is not None and if_range != headers.get("ETag")):
        return Response(content, 200, dict(headers), media_type)
    first, last = bounds
    more = {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Response(content[first : last + 1], 206, more, media_type)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of the one range asked for; None to send everything. Raises RequestError 416."""
    asked = _RANGE.fullmatch(header.strip()) if header else None
    if asked is None or asked.groups() == ("", ""):
        return None
    start, end = asked.groups()
    if not start:
        first, last = max(0, size - int(end)), size - 1
        satisfiable = int(end) > 0 and size > 0
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
        if end and int(end) < first:
            return None  # invalid: ignored (14.1.1)
        satisfiable = first < size
    if not satisfiable:
        raise RequestError(416, f"there are {size} bytes", {"Content-Range": f"bytes */{size}"})
    return first, last
