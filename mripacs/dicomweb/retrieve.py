"""WADO-RS: studies, series and instances as Part 10 files, and their metadata (PS3.18 10.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.archive import Archive
from mripacs.core.errors import TranscodeError
from mripacs.core.model import InstanceIdentity
from mripacs.dicom import part10
from mripacs.dicomweb import bodies
from mripacs.dicomweb.access import require
from mripacs.dicomweb.audit import audit_retrieve
from mripacs.dicomweb.links import ROOT, base_of, instance_url
from mripacs.dicomweb.media import DICOM, Form, dicom_forms, pick
from mripacs.dicomweb.metadata_cache import metadata_of
from mripacs.dicomweb.multipart_writing import MultipartResponse, Part
from mripacs.dicomweb.negotiation import MediaRange, accepted
from mripacs.dicomweb.targets import ASK_AGAIN, archive_of, caching, givable, key_of, tag_of, tag_of_keys, targets_of
from mripacs.dicomweb.threads import in_thread

RESOURCES = (
    "/studies/{study}",
    "/studies/{study}/series/{series}",
    "/studies/{study}/series/{series}/instances/{instance}",
)


def routes() -> list[BaseRoute]:
    """Each resource and its metadata."""
    return [
        *(Route(f"{ROOT}{path}/metadata", metadata, methods=["GET"]) for path in RESOURCES),
        *(Route(ROOT + path, instances, methods=["GET"]) for path in RESOURCES),
    ]


async def metadata(request: Request) -> Response:
    """The DICOM JSON model of each instance, or the Native DICOM Model."""
    require(request, "read")
    found = await targets_of(request)
    whole = givable(found)
    keys = [key_of(each) for each in whole]
    tag = tag_of_keys(request, keys, "metadata", base_of(request), request.headers.get("accept", ""))
    headers = _caching(request, tag)
    if bodies.is_fresh(request, tag):
        return Response(status_code=304, headers=headers)
    models = await in_thread(metadata_of, request, whole, keys)
    audit_retrieve(request, whole, "metadata")
    status = 200 if len(whole) == len(found) else 206
    return await in_thread(bodies.answer, request, models, status=status, headers=headers)


async def instances(request: Request) -> Response:
    """Part 10 files: multipart/related, or one file where the path names one instance and the client takes that."""
    require(request, "read")
    found = await targets_of(request)
    ranges = accepted(request)
    chosen, refusal = _choices(givable(found), ranges)
    if not chosen and refusal is not None:
        raise refusal
    whole = [identity for identity, _ in chosen]
    tag = tag_of(request, whole, *(form.transfer_syntax for _, form in chosen), _wants_single(request, ranges))
    headers = _caching(request, tag)
    if bodies.is_fresh(request, tag):
        return Response(status_code=304, headers=headers)
    audit_retrieve(request, whole, "instances")
    archive = archive_of(request)
    if _wants_single(request, ranges):
        ((identity, form),) = chosen
        content = await in_thread(_file, archive, identity, form)
        return Response(content, headers=headers, media_type=form.content_type)
    parts = _parts(archive, chosen, base_of(request))
    if "instance" in request.path_params:  # one that is deleted meanwhile is answered with 404, not with half a body
        parts = chain([await in_thread(next, parts)], parts)
    return MultipartResponse(parts, DICOM, 200 if len(chosen) == len(found) else 206, headers)


def _choices(
    identities: Iterable[InstanceIdentity], ranges: list[MediaRange]
) -> tuple[list[tuple[InstanceIdentity, Form]], TranscodeError | None]:
    """The form of each instance that has one which the client takes, and why others have none."""
    chosen: list[tuple[InstanceIdentity, Form]] = []
    refusal: TranscodeError | None = None
    picked: dict[tuple[Form, ...], Form | None] = {}  # most instances of a series have the same forms
    for identity in identities:
        forms = dicom_forms(identity)
        if forms not in picked:
            try:
                picked[forms] = pick(ranges, forms)
            except TranscodeError as error:
                picked[forms], refusal = None, error
        if (form := picked[forms]) is not None:
            chosen.append((identity, form))
    return chosen, refusal


def _parts(archive: Archive, chosen: Sequence[tuple[InstanceIdentity, Form]], base: str) -> Iterator[Part]:
    """The files, read ahead."""
    fetched = archive.fetch_many([identity for identity, _ in chosen])
    for each, (identity, form) in zip(fetched, chosen, strict=True):
        content = part10.write_part10(each.encoded((form.transfer_syntax,)))
        yield Part(form.content_type, content, instance_url(base, identity))


def _file(archive: Archive, identity: InstanceIdentity, form: Form) -> bytes:
    return part10.write_part10(archive.fetch_encoded(identity.sop_instance_uid, (form.transfer_syntax,)))


def _wants_single(request: Request, ranges: list[MediaRange]) -> bool:
    """Whether the file comes alone: one instance, and its plain type is what the client likes best."""
    return "instance" in request.path_params and bool(ranges) and ranges[0].type == DICOM and not ranges[0].multipart


def _caching(request: Request, tag: str) -> dict[str, str]:
    if "instance" in request.path_params:
        return caching(request, tag)
    return {"ETag": tag, "Cache-Control": ASK_AGAIN}
