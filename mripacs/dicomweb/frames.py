"""WADO-RS: frames and bulk data (PS3.18 10.4.1.1.6, 10.4.1.1.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.archive import Archive
from mripacs.core.errors import TranscodeError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN
from mripacs.dicomweb import bodies
from mripacs.dicomweb.access import require
from mripacs.dicomweb.audit import audit_retrieve
from mripacs.dicomweb.links import ROOT, base_of, instance_url
from mripacs.dicomweb.media import OCTETS, Form, frame_forms, pick
from mripacs.dicomweb.multipart_writing import MultipartResponse, Part, whole_response
from mripacs.dicomweb.negotiation import MediaRange, accepted, not_acceptable, places_of
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.ranges import ranged
from mripacs.dicomweb.targets import archive_of, caching, glance, instance_of, tag_of, target_of
from mripacs.dicomweb.threads import in_thread

INSTANCE = ROOT + "/studies/{study}/series/{series}/instances/{instance}"
PIXEL_DATA_PATH = "7FE00010"
MAX_FRAMES = 100_000  # in one list
WHOLE_BYTES = 1 << 20  # of frames: an answer of less is made and sent whole, which saves 0.3 ms of handing it over
_LIST = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*")


def routes() -> list[BaseRoute]:
    """Frames by number, and values by the path of their element."""
    return [
        Route(INSTANCE + "/frames/{frames}", frames, methods=["GET"]),
        Route(INSTANCE + "/bulkdata/{path:path}", bulk_data, methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which frames of which instance are asked for, and in which form they leave."""

    identity: InstanceIdentity
    numbers: list[int]
    form: Form
    single: bool  # one frame alone, not in multipart/related

    @classmethod
    def of(cls, identity: InstanceIdentity, numbers: list[int], ranges: list[MediaRange]) -> _Asked:
        """What a request wants that accepts these. Raises TranscodeError (406)."""
        form = pick(ranges, frame_forms(identity))
        return cls(identity, numbers, form, len(numbers) == 1 and not _wants_multipart(ranges, form))


Maker = Callable[[int], bytes]  # gives a frame by its number


async def frames(request: Request) -> Response:
    """Frames in the order of the list: multipart/related, or one alone where the client takes that."""
    require(request, "read")
    numbers = frame_numbers(request.path_params["frames"])
    ranges = accepted(request)
    answer = _at_hand(request, numbers, ranges)
    return await in_thread(_frames, request, numbers, ranges) if answer is None else answer


def _at_hand(request: Request, numbers: list[int], ranges: list[MediaRange]) -> Response | None:
    """The answer where nothing is waited for: to go to a thread and back takes as long as to make it. Else None."""
    identity = glance(request) if len(numbers) == 1 else None
    if identity is None:
        return None
    asked = _Asked.of(identity, numbers, ranges)
    native = asked.form.transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN
    frame = archive_of(request).frame_at_hand(identity, numbers[0]) if native else None
    return None if frame is None else _answer(request, asked, lambda: lambda _: frame)


def _frames(request: Request, numbers: list[int], ranges: list[MediaRange]) -> Response:
    """The answer, from row to body in one thread: a viewer that scrolls waits for each frame."""
    asked = _Asked.of(instance_of(request), numbers, ranges)
    return _answer(request, asked, partial(_frame_maker, archive_of(request), asked))


def _answer(request: Request, asked: _Asked, maker: Callable[[], Maker]) -> Response:
    """The frames, or that the client has them. What cannot be given shows before the answer begins."""
    identity, numbers, form = asked.identity, asked.numbers, asked.form
    tag = tag_of(request, [identity], "frames", numbers, form.transfer_syntax, asked.single)
    headers = caching(request, tag)
    if bodies.is_fresh(request, tag):
        return Response(status_code=304, headers=headers)
    make = maker()
    first = make(numbers[0])
    audit_retrieve(request, [identity], f"{len(numbers)} frames")
    if asked.single:
        return Response(first, headers=headers, media_type=form.content_type)
    base = f"{instance_url(base_of(request), identity)}/frames"
    contents = chain((first,), map(make, numbers[1:]))
    parts = (
        Part(form.content_type, content, f"{base}/{number}") for content, number in zip(contents, numbers, strict=True)
    )
    answer = whole_response if len(first) * len(numbers) <= WHOLE_BYTES else MultipartResponse
    return answer(parts, form.media_type, headers=headers)


def frame_numbers(text: str) -> list[int]:
    """The frames of a list, counted from 1. Raises RequestError 400."""
    if not _LIST.fullmatch(text) or text.count(",") >= MAX_FRAMES:
        raise RequestError(400, "frames are numbers from 1 on, joined by commas: frames/1,2,3")
    return [int(number) for number in text.split(",")]


def _frame_maker(archive: Archive, asked: _Asked) -> Maker:
    """What gives frames: natively, the codestreams that came, or some made of the decoded frames.

    Raises UnknownInstanceError for a list with a frame that is not there; a single frame's maker says so itself.
    """
    identity, syntax, last = asked.identity, asked.form.transfer_syntax, max(asked.numbers)
    native = syntax == EXPLICIT_VR_LITTLE_ENDIAN
    if native and len(asked.numbers) == 1:
        return partial(archive.native_frame, identity)
    if not native and identity.certificate.restores_received and syntax == identity.transfer_syntax:
        as_received = partial(_as_received, archive.fragments(identity, syntax), identity.sop_instance_uid)
        as_received(last)
        return as_received
    image = archive.image(identity)
    image.frame(last)
    return image.native if native else partial(image.stream, syntax=syntax)


def _as_received(streams: Sequence[bytes], uid: str, number: int) -> bytes:
    if number > len(streams):
        raise UnknownInstanceError(f"{uid} has {len(streams)} frames, no {number}")
    return streams[number - 1]


def _wants_multipart(ranges: list[MediaRange], form: Form) -> bool:
    """A plain media type asks for the frame alone; multipart/related, and no wish at all, for a multipart answer."""
    wish = next((ranges[place] for place in places_of(ranges, form.media_type, form.transfer_syntax)), None)
    return wish is None or wish.multipart or wish.type == "*/*"


async def bulk_data(request: Request) -> Response:
    """The value of an element, whole or a range of its bytes (RFC 9110 14)."""
    require(request, "read")
    identity = await target_of(request)
    ranges = accepted(request)
    wishes = (ranges[place] for place in places_of(ranges, OCTETS, EXPLICIT_VR_LITTLE_ENDIAN))
    wish = next((each for each in wishes if each.transfer_syntax in _NATIVE), None)
    if wish is None:
        raise not_acceptable((OCTETS,))
    path = request.path_params["path"].upper()
    tag = tag_of(request, [identity], "bulk", path, wish.multipart)
    headers = caching(request, tag) | {"Accept-Ranges": "bytes"}
    if bodies.is_fresh(request, tag):
        return Response(status_code=304, headers=headers)
    value = await in_thread(_bulk_value, archive_of(request), identity, path)
    audit_retrieve(request, [identity], f"bulk data {path[:8]}")
    if wish.multipart:
        location = f"{instance_url(base_of(request), identity)}/bulkdata/{path}"
        return MultipartResponse([Part(OCTETS, value, location)], OCTETS, headers=headers)
    return ranged(request, value, OCTETS, headers)


_NATIVE = (None, "*", EXPLICIT_VR_LITTLE_ENDIAN)


def _bulk_value(archive: Archive, identity: InstanceIdentity, path: str) -> bytes:
    """Pixel Data decoded; where that cannot be, its codestreams one behind the other."""
    uid = identity.sop_instance_uid
    if path != PIXEL_DATA_PATH:
        return archive.bulk(uid, path)
    try:
        image = archive.image(identity)
    except TranscodeError:
        return b"".join(archive.fragments(identity, identity.transfer_syntax))
    return b"".join(image.native(number) for number in range(1, len(image.frames) + 1))
