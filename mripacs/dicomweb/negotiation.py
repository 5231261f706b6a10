"""What a client accepts (RFC 9110 12.5.1, PS3.18 8.7): media types with parameters, best first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.requests import Request

from mripacs.dicomweb.problems import RequestError

MAX_ACCEPT_BYTES = 8192
COMMON_ACCEPT_BYTES = 512  # read once and remembered, which saves each request 0.03 ms; browsers' have 200
MULTIPART = "multipart/related"

_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]*))\s*')
_TYPE = re.compile(r"\s*([\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+)\s*")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One thing that a client accepts. `type` is that of the parts where it is multipart."""

    type: str  # lower case; "*/*" and "image/*" are ranges
    multipart: bool
    transfer_syntax: str | None  # "*" is any; None: the media type's default
    quality: float
    parameters: Mapping[str, str] = field(default_factory=dict)

    def covers(self, media_type: str) -> bool:
        """Whether a media type is in the range."""
        if self.type in ("*/*", media_type):
            return True
        return self.type.endswith("/*") and media_type.startswith(self.type[:-1])

    @property
    def specificity(self) -> tuple[int, int]:
        """Of two ranges that cover something the one with the larger speaks for it (RFC 9110 12.5.1)."""
        of_type = 0 if self.type == "*/*" else 1 if self.type.endswith("/*") else 2
        return of_type, 0 if self.transfer_syntax is None else 1 if self.transfer_syntax == "*" else 2


def accepted(request: Request) -> list[MediaRange]:
    """What the request accepts, best first: the `accept` parameter of the query, else the header, else anything.

    Raises RequestError 400 for a header that cannot be read.
    """
    asked = request.query_params.get("accept") if request.scope["query_string"] else None
    header = asked or ", ".join(request.headers.getlist("accept"))
    if len(header) > MAX_ACCEPT_BYTES:
        raise RequestError(400, f"Accept has more than {MAX_ACCEPT_BYTES} characters")
    return list((_best_first if len(header) <= COMMON_ACCEPT_BYTES else _best_first.__wrapped__)(header))


@lru_cache(64)
def _best_first(header: str) -> tuple[MediaRange, ...]:
    ranges = parse_accept(header) if header.strip() else []
    return tuple(sorted(ranges or [MediaRange("*/*", False, None, 1.0)], key=lambda each: -each.quality))


def parse_accept(header: str) -> list[MediaRange]:
    """The media ranges of an Accept header, also those that it refuses (q=0). Raises RequestError 400.

    Those whose quality is no number are left out.
    """
    found: list[MediaRange] = []
    position = 0
    while position < len(header):
        name, parameters, position = read_media_type(header, position)
        if (media_range := _media_range(name, parameters)) is not None:
            found.append(media_range)
        if position < len(header) and header[position] != ",":
            raise RequestError(400, f"Accept cannot be read at character {position + 1}")
        position += 1
    return found


def read_media_type(text: str, position: int = 0) -> tuple[str, dict[str, str], int]:
    """A media type in lower case, its parameters by lower-case name, and where it ends. Raises RequestError 400."""
    head = _TYPE.match(text, position)
    if head is None:
        raise RequestError(400, f"a media type is expected at character {position + 1} of the header")
    position = head.end()
    parameters: dict[str, str] = {}
    while parameter := _PARAMETER.match(text, position):
        name, quoted, plain = parameter.groups()
        parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain)
        position = parameter.end()
    return head[1].lower(), parameters, position


def _media_range(name: str, parameters: Mapping[str, str]) -> MediaRange | None:
    multipart = name in (MULTIPART, "multipart/*")
    inner = parameters.get("type", "*/*").lower().strip() if multipart else name
    try:
        quality = min(1.0, max(0.0, float(parameters.get("q", "1"))))
    except ValueError:
        return None
    return MediaRange(inner, multipart, parameters.get("transfer-syntax"), quality, parameters)


def choose(ranges: Iterable[MediaRange], offered: Iterable[str]) -> str:
    """The offered media type that the client likes best; RequestError 406 names what there is."""
    ranges, offered = tuple(ranges), tuple(offered)
    places = {each: place for each in offered if (place := next(places_of(ranges, each), None)) is not None}
    if not places:
        raise not_acceptable(offered)
    return min(places, key=places.__getitem__)


def places_of(ranges: Sequence[MediaRange], media_type: str, transfer_syntax: str | None = None) -> Iterator[int]:
    """Which of the ranges cover a media type, in their order; not those that a more specific one with q=0 overrules.

    transfer_syntax : in which it would leave. Whether a range takes that is not asked.
    """
    refusals = _refusals(ranges, media_type, transfer_syntax)
    for place, each in enumerate(ranges):
        if each.quality > 0 and each.covers(media_type) and not _is_overruled(each, refusals):
            yield place


def _refusals(
    ranges: Sequence[MediaRange], media_type: str, transfer_syntax: str | None
) -> dict[bool, tuple[int, int]]:
    """The specificity of the most specific range that refuses it, in multipart/related and alone."""
    found: dict[bool, tuple[int, int]] = {}
    for each in ranges:
        if each.quality == 0 and each.covers(media_type) and each.transfer_syntax in (None, "*", transfer_syntax):
            found[each.multipart] = max(each.specificity, found.get(each.multipart, each.specificity))
    return found


def _is_overruled(wish: MediaRange, refusals: Mapping[bool, tuple[int, int]]) -> bool:
    """A type that is refused alone may be taken in multipart/related, and the other way; "*/*" covers both."""
    if not refusals:
        return False
    both = wish.type == "*/*" and not wish.multipart
    return any(
        specificity > wish.specificity
        for multipart, specificity in refusals.items()
        if both or multipart == wish.multipart
    )


def not_acceptable(offered: Iterable[str]) -> RequestError:
    """The refusal that names what there is."""
    return RequestError(406, f"this resource is given out as {', '.join(offered)}; Accept takes none of them")
