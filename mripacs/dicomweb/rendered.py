"""Rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4, 8.3.5): frames as JPEG, PNG, WebP or GIF."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.archive import Archive
from mripacs.core.errors import QueryError, TranscodeError
from mripacs.core.model import InstanceIdentity
from mripacs.dicomweb import bodies
from mripacs.dicomweb.access import require
from mripacs.dicomweb.audit import audit_retrieve
from mripacs.dicomweb.frames import INSTANCE, frame_numbers
from mripacs.dicomweb.links import ROOT, base_of, instance_url
from mripacs.dicomweb.media import frame_forms
from mripacs.dicomweb.multipart_writing import MultipartResponse, Part, made
from mripacs.dicomweb.negotiation import accepted, choose
from mripacs.dicomweb.retrieve import RESOURCES
from mripacs.dicomweb.targets import ASK_AGAIN, archive_of, caching, givable, tag_of, targets_of
from mripacs.dicomweb.threads import in_thread
from mripacs.retrieve.rendering import TYPES, Function, Rendering, Viewport, Window, render

THUMBNAIL = Viewport(128, 128)
ANIMATIONS = ("image/gif", "image/webp")


def routes() -> list[BaseRoute]:
    """Each resource rendered, and its thumbnail."""
    paths = [*(ROOT + path for path in RESOURCES), INSTANCE + "/frames/{frames}"]
    return [
        Route(f"{path}/{name}", handler, methods=["GET"])
        for path in paths
        for name, handler in (("rendered", rendered), ("thumbnail", thumbnail))
    ]


async def rendered(request: Request) -> Response:
    """Each instance as a picture: one alone, several as multipart/related."""
    require(request, "read")
    how = rendering_of(request)
    images = _with_pixels(givable(await targets_of(request)))
    numbers = frame_numbers(request.path_params["frames"]) if "frames" in request.path_params else None
    tag = tag_of(request, images, "rendered", how, numbers)
    headers = _caching(request, tag)
    if bodies.is_fresh(request, tag):
        return Response(status_code=304, headers=headers)
    archive, base = archive_of(request), base_of(request)
    audit_retrieve(request, images, "rendered")
    makers = [partial(_pictures, archive, identity, numbers, how, base) for identity in images]
    if len(makers) == 1 and (numbers is None or len(numbers) == 1 or how.media_type in ANIMATIONS):
        part = await in_thread(makers[0])
        return Response(part.content, headers=headers, media_type=how.media_type)
    if numbers is not None:
        makers = await in_thread(_one_by_one, archive, images[0], numbers, how, base)
    await in_thread(makers[0])  # what cannot be drawn shows before the answer begins
    return MultipartResponse(made(makers), how.media_type, headers=headers)


async def thumbnail(request: Request) -> Response:
    """One small picture: of the instance in the middle, its frame in the middle."""
    require(request, "read")
    how = rendering_of(request)
    how = replace(how, viewport=how.viewport or THUMBNAIL)
    images = _with_pixels(givable(await targets_of(request)))
    identity = images[len(images) // 2]
    numbers = frame_numbers(request.path_params["frames"])[:1] if "frames" in request.path_params else None
    tag = tag_of(request, [identity], "thumbnail", how, numbers)
    headers = _caching(request, tag)
    if bodies.is_fresh(request, tag):
        return Response(status_code=304, headers=headers)
    audit_retrieve(request, [identity], "thumbnail")
    picture = await in_thread(_middle_picture, archive_of(request), identity, numbers, how)
    return Response(picture, headers=headers, media_type=how.media_type)


def rendering_of(request: Request) -> Rendering:
    """How the request wants its pictures. Raises QueryError naming what is malformed, RequestError 406."""
    query = request.query_params
    quality = query.get("quality")
    if quality is not None and not (quality.isascii() and quality.isdigit() and 1 <= int(quality[:4]) <= 100):
        raise QueryError("quality is a number from 1 to 100")
    return Rendering(
        media_type=choose(accepted(request), TYPES),
        quality=int(quality) if quality else None,
        window=_window(query["window"]) if "window" in query else None,
        viewport=_viewport(query["viewport"]) if "viewport" in query else None,
    )


def _window(text: str) -> Window:
    center, width, function = [*(part.strip() for part in text.split(",")), "", ""][:3]
    function = function or "linear"
    functions: Mapping[str, str] = {name.lower(): name for name in get_args(Function)}
    found, numbers = functions.get(function.lower()), _numbers((center, width))
    if found is None or text.count(",") not in (1, 2) or numbers is None or numbers[1] < 1:
        raise QueryError(f"window is center,width[,function]: a width of 1 at least, function one of {set(functions)}")
    return Window(numbers[0], numbers[1], cast(Function, found))


def _viewport(text: str) -> Viewport:
    words = "viewport is width,height[,x,y,width,height of the region]"
    parts = [part.strip() for part in text.split(",")]
    sizes = _numbers(parts[:2])
    region = _numbers([part or "0" for part in parts[2:4]])
    extent = [_numbers([part]) if part else None for part in parts[4:6]]
    if len(parts) not in (2, 4, 6) or sizes is None or region is None or any(size % 1 for size in sizes):
        raise QueryError(words)
    if any(part and found is None for part, found in zip(parts[4:6], extent, strict=True)):
        raise QueryError(words)
    x, y = [*region, 0.0, 0.0][:2]
    width, height = [*(found[0] if found else None for found in extent), None, None][:2]
    return Viewport(int(sizes[0]), int(sizes[1]), x, y, width, height)


def _numbers(parts: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    return numbers if all(math.isfinite(number) and abs(number) < 1e9 for number in numbers) else None


def _with_pixels(identities: Sequence[InstanceIdentity]) -> list[InstanceIdentity]:
    """Those whose pixels are known to decode. Raises TranscodeError when there is none."""
    found = [each for each in identities if each.certificate.source_pixel_digest is not None and frame_forms(each)]
    if not found:
        raise TranscodeError("there are no pixels that can be drawn")
    return found


def _one_by_one(
    archive: Archive, identity: InstanceIdentity, numbers: Sequence[int], how: Rendering, base: str
) -> list[partial[Part]]:
    """What makes a picture of each frame. Raises UnknownInstanceError where one of them is not there."""
    archive.image(identity).frame(max(numbers))
    return [partial(_pictures, archive, identity, [number], how, base) for number in numbers]


def _pictures(
    archive: Archive, identity: InstanceIdentity, numbers: Sequence[int] | None, how: Rendering, base: str
) -> Part:
    image = archive.image(identity)
    if numbers is None:
        numbers = range(1, len(image.frames) + 1) if how.media_type in ANIMATIONS else (1,)
    suffix = f"/frames/{','.join(map(str, numbers))}/rendered" if len(numbers) == 1 else "/rendered"
    return Part(how.media_type, render(image, numbers, how), instance_url(base, identity) + suffix)


def _middle_picture(
    archive: Archive, identity: InstanceIdentity, numbers: Sequence[int] | None, how: Rendering
) -> bytes:
    image = archive.image(identity)
    return render(image, numbers or (len(image.frames) // 2 + 1,), how)


def _caching(request: Request, tag: str) -> dict[str, str]:
    if "instance" in request.path_params:
        return caching(request, tag)
    return {"ETag": tag, "Cache-Control": ASK_AGAIN}
