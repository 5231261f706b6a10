"""QIDO-RS (PS3.18 10.6): studies, series and instances at every nesting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.core.model import Level
from mripacs.dicom.json_values import element_of
from mripacs.dicomweb.access import require
from mripacs.dicomweb.audit import audit_search
from mripacs.dicomweb.bodies import answer
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
_ONLINE = {"vr": "CS", "Value": ["ONLINE"]}
_UTF8 = {"vr": "CS", "Value": ["ISO_IR 192"]}


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
    models = [_model(row, asked, base) for row in rows[:limit]]
    audit_search(request, asked, len(models))
    headers = _warnings(asked, len(rows) > limit, asked.query.offset + limit) | {"Cache-Control": "private, no-cache"}
    if not models:
        return Response(status_code=204, headers=headers)
    return answer(request, models, headers=headers)


def _warnings(asked: Search, more: bool, offset: int) -> dict[str, str]:
    words = [MORE.format(offset=offset)] if more else []
    words += [UNUSED.format(keywords=", ".join(asked.unused))] if asked.unused else []
    return {"Warning": ", ".join(words)} if words else {}


def _model(row: Mapping[str, str | int], asked: Search, base: str) -> dict[str, Any]:
    """A match: what was asked for and is known, and all that is required, with or without a value."""
    required = REQUIRED[asked.query.level]
    model = dict(
        element_of(keyword, row.get(keyword, "")) for keyword in asked.keywords if keyword in row or keyword in required
    )
    model["00080005"] = _UTF8
    model["00080056"] = _ONLINE
    model["00081190"] = {"vr": "UR", "Value": [_retrieve_url(row, asked.query.level, base)]}
    return dict(sorted(model.items()))


def _retrieve_url(row: Mapping[str, str | int], level: Level, base: str) -> str:
    study, series = str(row.get("StudyInstanceUID", "")), str(row.get("SeriesInstanceUID", ""))
    if level is Level.STUDY:
        return study_url(base, study)
    of_series = series_url(base, study, series)
    return of_series if level is Level.SERIES else f"{of_series}/instances/{row['SOPInstanceUID']}"
