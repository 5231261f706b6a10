"""Studies that match, a study's series, a series' instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mripacs.archive import Archive
from mripacs.core.errors import UnknownInstanceError
from mripacs.core.model import InstanceSelection, Level
from mripacs.dicomweb.page import thumbnails
from mripacs.dicomweb.page.html import page, render
from mripacs.dicomweb.targets import archive_of, uid_of
from mripacs.dicomweb.threads import in_thread
from mripacs.retrieve.matching import parse_query

Row = dict[str, str | int]
STUDIES_PER_PAGE = 25
INSTANCES_PER_PAGE = 60
# Fields of the search form: the key that each becomes. Text is found anywhere in the value.
CONTAINS = {"patient": "PatientName", "description": "StudyDescription"}
BEGINS = {"id": "PatientID", "accession": "AccessionNumber"}
SHOWN = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime"),
    *("StudyDescription", "AccessionNumber", "ModalitiesInStudy"),
    *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
)
SERIES_SHOWN = (
    *SHOWN,
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "Manufacturer", "ManufacturerModelName"),
    *("MagneticFieldStrength", "NumberOfSeriesRelatedInstances"),
)


@page
async def studies(request: Request) -> Response:
    """The list, newest first, restricted by the form above it."""
    asked = {name: value.strip() for name, value in request.query_params.items()}
    number = max(1, int(asked["page"])) if asked.get("page", "").isdecimal() else 1
    found = await in_thread(search, archive_of(request), asked, (number - 1) * STUDIES_PER_PAGE)
    kept = {name: value for name, value in asked.items() if value and name != "page"}
    shown = found[:STUDIES_PER_PAGE]
    uids = [str(row["StudyInstanceUID"]) for row in shown]
    return render(
        request,
        "studies.html",
        studies=shown,
        thumbnails=await in_thread(thumbnails.of_studies, archive_of(request), uids),
        asked=_form(asked),
        searching=bool(kept),
        number=number,
        earlier=urlencode({**kept, "page": number - 1}) if number > 1 else None,
        later=urlencode({**kept, "page": number + 1}) if len(found) > STUDIES_PER_PAGE else None,
    )


def search(archive: Archive, asked: Mapping[str, str], offset: int) -> list[Row]:
    """One more study than a page shows, if there are as many. Raises QueryError."""
    keys = dict.fromkeys(SHOWN, "") | _keys(asked)
    query = parse_query(Level.STUDY, keys, limit=STUDIES_PER_PAGE + 1, offset=offset)
    return [_filled(row, SHOWN) for row in archive.query(replace(query, newest_first=True))]


def _keys(asked: Mapping[str, str]) -> dict[str, str]:
    keys = {CONTAINS[name]: f"*{value}*" for name, value in asked.items() if name in CONTAINS and value}
    keys |= {BEGINS[name]: f"{value}*" for name, value in asked.items() if name in BEGINS and value}
    if asked.get("modality"):
        keys["ModalitiesInStudy"] = asked["modality"].upper()
    first, last = (asked.get(name, "").replace("-", "") for name in ("from", "to"))
    if first or last:
        keys["StudyDate"] = f"{first}-{last}"
    return keys


def _form(asked: Mapping[str, str]) -> dict[str, str]:
    return {name: asked.get(name, "") for name in (*CONTAINS, *BEGINS, "modality", "from", "to")}


@page
async def study(request: Request) -> Response:
    """A study and its series, each with what it takes."""
    uid = str(uid_of(request, "study"))
    archive = archive_of(request)
    found = await in_thread(series_rows, archive, uid)
    totals = await in_thread(archive.series_totals, uid)
    uids = [str(row["SeriesInstanceUID"]) for row in found]
    shown = await in_thread(thumbnails.of_series, archive, uid, uids)
    return render(request, "study.html", study=found[0], series=found, totals=totals, thumbnails=shown)


def series_rows(archive: Archive, study_uid: str, series_uid: str = "") -> list[Row]:
    """The series of a study, or one of them, with the study's attributes. Raises UnknownInstanceError."""
    keys = dict.fromkeys(SERIES_SHOWN, "") | {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
    found = [_filled(row, SERIES_SHOWN) for row in archive.query(parse_query(Level.SERIES, keys))]
    if not found:
        raise UnknownInstanceError("no such study or series is stored")
    return found


@page
async def series(request: Request) -> Response:
    """A series' instances, each with its certificate in short."""
    study_uid, series_uid = str(uid_of(request, "study")), str(uid_of(request, "series"))
    archive = archive_of(request)
    (found, *_) = await in_thread(series_rows, archive, study_uid, series_uid)
    order = await in_thread(archive.series_order, study_uid, series_uid)
    text = request.query_params.get("page", "1")
    pages = max(1, -(-len(order) // INSTANCES_PER_PAGE))
    number = min(max(1, int(text)) if text.isdecimal() else 1, pages)
    start = (number - 1) * INSTANCES_PER_PAGE
    shown = order[start : start + INSTANCES_PER_PAGE]
    selection = InstanceSelection(sop_instance_uids=tuple(shown))
    identities = await in_thread(archive.select, selection) if shown else []
    return render(
        request,
        "series.html",
        series=found,
        instances=identities,
        thumbnails=await in_thread(thumbnails.of_instances, archive, shown),
        start=start,
        number=number,
        pages=pages,
    )


def _filled(row: Mapping[str, Any], keywords: tuple[str, ...]) -> Row:
    return {keyword: row.get(keyword, "") for keyword in keywords}


ROUTES = [
    Route("/studies", studies),
    Route("/studies/{study}", study),
    Route("/studies/{study}/series/{series}", series),
]
