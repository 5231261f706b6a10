"""QIDO-RS (PS3.18 10.6): studies, series and instances at every nesting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.core.model import Level
from mripacs.dicom.dictionary import tag_of
from mripacs.dicom.json_values import element_of
from mripacs.dicomweb.access import require
from mripacs.dicomweb.audit import audit_search
from mripacs.dicomweb.bodies import answer, one
from mripacs.dicomweb.links import ROOT, base_of, series_url, study_url
from mripacs.dicomweb.search_keys import REQUIRED, Search, parse_search
from mripacs.dicomweb.targets import archive_of, uid_of
from mripacs.dicomweb.threads import in_thread

# Path, level, and the levels above whose attributes come along.
RESOURCES: tuple[tuple[str, Level, tuple[Level, ...]], ...] = (
    ("/studies", Level.STUDY, ()),
    ("/series", Level.SERIES, (Level.STUDY,)),
    ("/instances", Level.IMAGE, (Level.STUDY, Level.SERIES)),
    ("/studies/{study}/series", Level.SERIES, ()),
    ("/studies/{study}/instances", Level.IMAGE, (Level.SERIES,)),
    ("/studies/{study}/series/{series}/instances", Level.IMAGE, ()),
)
MORE = '299 mripacs "there are more results: ask for them with offset={offset}"'
UNUSED = '299 mripacs "not matched by: {keywords}"'
KEPT_ELEMENTS = 4096  # 100 bytes each
_ALWAYS = {"SpecificCharacterSet": "ISO_IR 192", "InstanceAvailability": "ONLINE"}
_OF_THE_NODE = {keyword: f"{tag_of(keyword):08X}" for keyword in (*_ALWAYS, "RetrieveURL")}


def routes() -> list[BaseRoute]:
    """A route for each resource."""
    return [Route(ROOT + path, _handler(level, above), methods=["GET"]) for path, level, above in RESOURCES]


def _handler(level: Level, above: tuple[Level, ...]) -> Any:
    async def search(request: Request) -> Response:
        require(request, "read")
        settings = request.app.state.settings.web
        uids = {"StudyInstanceUID": uid_of(request, "study"), "SeriesInstanceUID": uid_of(request, "series")}
        fixed = {keyword: uid for keyword, uid in uids.items() if uid}
        asked = parse_search(level, request.query_params.multi_items(), fixed, settings.max_results, above=above)
        return await in_thread(_answer, request, asked)

    search.__name__ = f"search_{level.lower()}"
    return search


def _answer(request: Request, asked: Search) -> Response:
    """In a thread: the rows, as models."""
    limit = (asked.query.limit or 1) - 1
    rows = list(archive_of(request).query(asked.query))
    base = base_of(request)
    models = list(_models(rows[:limit], asked, base))
    audit_search(request, asked, len(models))
    headers = _warnings(asked, len(rows) > limit, asked.query.offset + limit) | {"Cache-Control": "private, no-cache"}
    if not models:
        return Response(status_code=204, headers=headers)
    return answer(request, models, headers=headers)


def _warnings(asked: Search, more: bool, offset: int) -> dict[str, str]:
    words = [MORE.format(offset=offset)] if more else []
    words += [UNUSED.format(keywords=", ".join(asked.unused))] if asked.unused else []
    return {"Warning": ", ".join(words)} if words else {}


def _models(rows: Iterable[Mapping[str, str | int]], asked: Search, base: str) -> Iterator[bytes]:
    """Matches as JSON: what was asked for and is known, and all that is required, with or without a value.

    Elements are written once for all rows that share their values: 100 instances took 18 ms with all that a search
    does, and take 3.
    """
    required = frozenset(REQUIRED[asked.query.level])
    tags = {keyword: f"{tag_of(keyword):08X}" for keyword in asked.keywords} | _OF_THE_NODE
    keywords = sorted(tags, key=tags.__getitem__)
    for row in rows:
        whole = {**row, **_ALWAYS, "RetrieveURL": _retrieve_url(row, asked.query.level, base)}
        elements = (
            _element(keyword, whole.get(keyword, "")) for keyword in keywords if keyword in whole or keyword in required
        )
        yield b"{" + b",".join(elements) + b"}"


@lru_cache(KEPT_ELEMENTS)
def _element(keyword: str, value: str | int) -> bytes:
    """A member of a model's object."""
    tag, element = element_of(keyword, value)
    return f'"{tag}":'.encode() + one(element)


def _retrieve_url(row: Mapping[str, str | int], level: Level, base: str) -> str:
    study, series = str(row.get("StudyInstanceUID", "")), str(row.get("SeriesInstanceUID", ""))
    if level is Level.STUDY:
        return study_url(base, study)
    of_series = series_url(base, study, series)
    return of_series if level is Level.SERIES else f"{of_series}/instances/{row['SOPInstanceUID']}"
