"""STOW-RS (PS3.18 10.5): instances come in as parts of one request and are stored while it still comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.dicom import xml_model
from mripacs.dicomweb import bodies
from mripacs.dicomweb.access import require
from mripacs.dicomweb.audit import audit_stored
from mripacs.dicomweb.links import ROOT, base_of
from mripacs.dicomweb.media import DICOM
from mripacs.dicomweb.multipart_reading import MultipartParser, PartBegins, PartBytes
from mripacs.dicomweb.negotiation import MULTIPART, accepted, choose, read_media_type
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.store_answer import response_model, status_of
from mripacs.dicomweb.store_parts import PART_TYPES, Intake
from mripacs.dicomweb.targets import archive_of, uid_of
from mripacs.dicomweb.threads import in_thread


def routes() -> list[BaseRoute]:
    """With and without the study that all instances must be of."""
    return [Route(ROOT + path, store, methods=["POST"]) for path in ("/studies", "/studies/{study}")]


async def store(request: Request) -> Response:
    """Store the instances of the body; the answer says of each what became of it."""
    caller = require(request, "write")
    study = uid_of(request, "study")
    media_type, parameters = _content_type(request)
    wish = choose(accepted(request), (*bodies.JSON_TYPES, bodies.XML))
    settings = request.app.state.settings
    _check_length(request, settings.web.max_request_bytes)
    with Intake(archive_of(request), caller.source, study, settings.limits.max_object_bytes) as intake:
        try:
            await _take_in(request, intake, media_type, parameters, settings.web.max_request_bytes)
        except ClientDisconnect as error:
            raise RequestError(400, "the connection ended before the body did") from error
        outcomes = await intake.outcomes()
    if not outcomes:
        raise RequestError(400, "the body has no part: each instance is one, of type application/dicom")
    audit_stored(request, [outcome.sop_instance_uid for outcome in outcomes if outcome.stored])
    model, status = response_model(outcomes, base_of(request), study), status_of(outcomes)
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "10"} if status == 503 else {})
    if wish == bodies.XML:
        return Response(await in_thread(xml_model.to_xml, model), status, headers, wish)
    return bodies.json_response(request, bodies.one(model), status=status, headers=headers, media_type=wish)


async def _take_in(
    request: Request, intake: Intake, media_type: str, parameters: dict[str, str], max_bytes: int
) -> None:
    """Feed the body to the intake as it comes."""
    if media_type == DICOM:
        intake.begin({"content-type": DICOM})
        async for chunk in _bounded(request, max_bytes):
            intake.write(chunk)
        await intake.end()
        return
    parser = MultipartParser(parameters.get("boundary", ""))
    async for chunk in _bounded(request, max_bytes):
        for event in parser.feed(chunk):
            if isinstance(event, PartBegins):
                intake.begin(event.headers)
            elif isinstance(event, PartBytes):
                intake.write(event.content)
            else:
                await intake.end()
    parser.close()


async def _bounded(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body's chunks. Raises RequestError 413 behind the limit."""
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > max_bytes:
            raise RequestError(413, f"a request may have {max_bytes} bytes: send fewer instances at once")
        if chunk:
            yield chunk


def _content_type(request: Request) -> tuple[str, dict[str, str]]:
    """The body's media type and parameters. Raises RequestError 415 for what instances do not come in."""
    header = request.headers.get("content-type", "")
    if not header:
        raise RequestError(415, 'Content-Type must be multipart/related; type="application/dicom"; boundary=...')
    media_type, parameters, end = read_media_type(header)
    if end != len(header):
        raise RequestError(400, f"Content-Type cannot be read at character {end + 1}")
    if media_type == DICOM:
        return media_type, parameters
    inner = parameters.get("type", DICOM).lower()
    if media_type != MULTIPART or inner not in PART_TYPES:
        known = ", ".join(f'multipart/related; type="{each}"' for each in PART_TYPES)
        raise RequestError(415, f"instances come as {known}", {"Accept-Post": f"{MULTIPART}, {DICOM}"})
    return media_type, parameters


def _check_length(request: Request, max_bytes: int) -> None:
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise RequestError(413, f"a request may have {max_bytes} bytes: send fewer instances at once")
