"""WADO-URI (PS3.18 9): one instance named by the query, as a Part 10 file or as a picture."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.archive import Archive
from mripacs.core.errors import QueryError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity
from mripacs.dicom import part10
from mripacs.dicomweb import bodies
from mripacs.dicomweb.access import require
from mripacs.dicomweb.audit import audit_retrieve
from mripacs.dicomweb.links import ROOT
from mripacs.dicomweb.media import DICOM, dicom_forms, pick
from mripacs.dicomweb.negotiation import MediaRange, choose, parse_accept
from mripacs.dicomweb.targets import UID, archive_of, caching, tag_of
from mripacs.dicomweb.threads import in_thread
from mripacs.retrieve.rendering import LARGEST_SIDE, TYPES, Rendering, Viewport, Window, render

UIDS = ("studyUID", "seriesUID", "objectUID")


def routes() -> list[BaseRoute]:
    """The one resource."""
    return [Route(f"{ROOT}/wado", wado, methods=["GET"])]


async def wado(request: Request) -> Response:
    """What requestType=WADO asks for."""
    require(request, "read")
    identity = await in_thread(_named, request)
    ranges = parse_accept(request.query_params.get("contentType", "")) or [MediaRange("image/jpeg", False, None, 1.0)]
    media_type = choose(ranges, (DICOM, *TYPES) if ranges[0].type == DICOM else (*TYPES, DICOM))
    tag = tag_of(request, [identity], "wado", sorted(request.query_params.multi_items()))
    headers = caching(request, tag)
    if bodies.is_fresh(request, tag):
        return Response(status_code=304, headers=headers)
    audit_retrieve(request, [identity], "WADO-URI")
    archive = archive_of(request)
    if media_type == DICOM:
        return await in_thread(_file, archive, identity, request.query_params.get("transferSyntax"), headers)
    return await in_thread(_picture, archive, identity, request, media_type, headers)


def _named(request: Request) -> InstanceIdentity:
    """The instance of all three UIDs. Raises QueryError, UnknownInstanceError, RequestError."""
    query = request.query_params
    if query.get("requestType") != "WADO":
        raise QueryError("requestType must be WADO")
    for name in UIDS:
        if not UID.fullmatch(query.get(name, "")):
            raise QueryError(f"{name} must be a UID: digits and dots, 64 at most")
    identity = archive_of(request).identify(query["objectUID"])
    above = (identity.study_instance_uid, identity.series_instance_uid)
    if above != (query["studyUID"], query["seriesUID"]):
        raise UnknownInstanceError("the instance is of another study or series")
    return identity


def _file(archive: Archive, identity: InstanceIdentity, syntax: str | None, headers: dict[str, str]) -> Response:
    """A Part 10 file, in Explicit VR Little Endian unless another transfer syntax is asked for (PS3.18 9.1.2.2)."""
    form = pick([MediaRange(DICOM, False, syntax, 1.0)], dicom_forms(identity))
    outgoing = archive.fetch_encoded(identity.sop_instance_uid, (form.transfer_syntax,))
    return Response(part10.write_part10(outgoing), headers=headers, media_type=form.content_type)


def _picture(
    archive: Archive, identity: InstanceIdentity, request: Request, media_type: str, headers: dict[str, str]
) -> Response:
    query = request.query_params
    image = archive.image(identity)
    rows, columns = _number(query.get("rows")), _number(query.get("columns"))
    viewport = None
    if rows or columns:
        viewport = Viewport(int(columns or LARGEST_SIDE), int(rows or LARGEST_SIDE))
    center, width = _number(query.get("windowCenter")), _number(query.get("windowWidth"))
    if (center is None) != (width is None) or (width is not None and width < 1):
        raise QueryError("windowCenter and windowWidth belong together; a width is 1 at least")
    window = Window(center, width) if center is not None and width is not None else None
    how = Rendering(media_type, _quality(query.get("imageQuality")), window, viewport)
    number = _number(query.get("frameNumber"))
    return Response(render(image, [int(number or 1)], how), headers=headers, media_type=media_type)


def _quality(text: str | None) -> int | None:
    number = _number(text)
    if number is not None and not 1 <= number <= 100:
        raise QueryError("imageQuality is a number from 1 to 100")
    return None if number is None else int(number)


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise QueryError(f"{text[:64]!r} is no number") from error
    if not abs(number) < 1e9:
        raise QueryError(f"{text[:64]!r} is out of range")
    return number
