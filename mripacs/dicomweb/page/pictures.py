"""Frames, thumbnails and error maps as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mripacs.core.errors import CodecInputError
from mripacs.dicomweb.page.comparison import compared, wanted_error
from mripacs.dicomweb.page.html import page
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.targets import archive_of, uid_of
from mripacs.dicomweb.threads import in_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mripacs.retrieve.images import Image

THUMBNAIL = 160  # pixels of the longer side: 64 on the page, sharp on dense screens
WINDOW = (0.5, 99.5)  # percentiles that become black and white
OF_INSTANCE = "private, max-age=86400, immutable"  # pixels never change, as WADO-RS says of them
OF_GROUP = "private, max-age=60"  # a study that grows gets another middle


@page
async def frame(request: Request) -> Response:
    """One frame of an instance, windowed by its own values."""
    image, number = await opened(request)
    return await _answer(to_grey, image.frame(number), _inverse(image))


@page
async def reduced(request: Request) -> Response:
    """The same frame after the K-wavelet codec."""
    before, after, inverse = await _pair(request)
    return await _answer(to_grey, after, inverse, before)


@page
async def error_map(request: Request) -> Response:
    """What the codec changed: blue where a pixel became darker, orange where brighter, black where it did not."""
    before, after, _ = await _pair(request)
    return await _answer(to_signed, after.astype(np.int64) - before)


@page
async def thumbnail(request: Request) -> Response:
    """The picture that stands for an instance, or for a study or series."""
    archive = archive_of(request)
    uid = uid_of(request, "instance")
    if uid is None:
        uid = await in_thread(archive.middle_instance, str(uid_of(request, "study")), uid_of(request, "series"))
    image = await in_thread(archive.image, uid)
    caching = OF_INSTANCE if "instance" in request.path_params else OF_GROUP
    return await _answer(to_thumbnail, image.frame(len(image.frames) // 2 + 1), _inverse(image), caching=caching)


async def opened(request: Request) -> tuple[Image, int]:
    """The image that the path names, and the number of a frame in it. Raises RequestError 400."""
    text = request.path_params.get("frame", "1")
    if not text.isdecimal():
        raise RequestError(400, "a frame is named by its number, from 1")
    image = await in_thread(archive_of(request).image, str(uid_of(request, "instance")))
    return image, int(text)


async def _pair(request: Request) -> tuple[NDArray[Any], NDArray[Any], bool]:
    image, number = await opened(request)
    before = image.frame(number)
    if before.ndim != 2:
        raise CodecInputError("colour is kept without loss: there is nothing to compare")
    found = await compared(request, before, wanted_error(request))
    return before, found.pixels, _inverse(image)


async def _answer(draw: Any, *values: Any, caching: str = OF_INSTANCE) -> Response:
    headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
    return Response(await in_thread(draw, *values), media_type="image/png", headers=headers)


def _inverse(image: Image) -> bool:
    return image.description.photometric == "MONOCHROME1"


def to_grey(pixels: NDArray[Any], inverse: bool, scale: NDArray[Any] | None = None) -> bytes:
    """A frame as PNG; `scale` is the frame whose values set black and white, itself where it is None."""
    return _png(_grey(pixels, inverse, pixels if scale is None else scale))


def to_thumbnail(pixels: NDArray[Any], inverse: bool) -> bytes:
    """A small picture of a frame, its longer side THUMBNAIL pixels at most."""
    from PIL import Image as Pictures  # noqa: PLC0415 - loads where pictures are made

    picture = Pictures.fromarray(_grey(pixels, inverse, pixels))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return _png(np.asarray(picture))


def to_signed(error: NDArray[Any]) -> bytes:
    """Errors as colours, the largest one at full strength."""
    strength = np.abs(error) / max(1, int(np.abs(error).max()))
    colour = np.where(error[..., np.newaxis] > 0, (255, 150, 30), (70, 150, 255))
    return _png((colour * np.sqrt(strength)[..., np.newaxis]).astype(np.uint8))  # the root shows small errors, too


def _grey(pixels: NDArray[Any], inverse: bool, scale: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.ndim == 3:  # colour by pixel
        return pixels.astype(np.uint8)
    low, high = np.percentile(scale, WINDOW)
    if high <= low:
        low, high = float(scale.min()), float(max(scale.max(), scale.min() + 1))
    grey = np.clip((pixels.astype(np.float64) - low) / (high - low), 0, 1)
    return np.asarray(np.round(255 * (1 - grey if inverse else grey)), np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image as Pictures  # noqa: PLC0415 - as above

    file = io.BytesIO()
    Pictures.fromarray(pixels).save(file, "PNG", compress_level=4)
    return file.getvalue()


ROUTES = [
    Route("/instances/{instance}/frames/{frame}.png", frame),
    Route("/instances/{instance}/frames/{frame}/reduced.png", reduced),
    Route("/instances/{instance}/frames/{frame}/error.png", error_map),
    Route("/instances/{instance}/thumbnail.png", thumbnail),
    Route("/studies/{study}/thumbnail.png", thumbnail),
    Route("/studies/{study}/series/{series}/thumbnail.png", thumbnail),
]
