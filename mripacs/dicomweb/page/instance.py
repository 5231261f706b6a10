"""An instance: its picture, its certificate, what compression does or did to it, and the proof on demand."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mripacs.archive import Archive
from mripacs.core.errors import CodecInputError, TranscodeError
from mripacs.core.model import Generation, InstanceIdentity, Tier
from mripacs.dicomweb.page.charts import Histogram
from mripacs.dicomweb.page.comparison import BOUNDS, compared, generations, wanted_error
from mripacs.dicomweb.page.html import page, render
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.targets import archive_of, uid_of
from mripacs.dicomweb.threads import in_thread

if TYPE_CHECKING:
    from mripacs.retrieve.generations import Generations
    from mripacs.retrieve.images import Image

PROOF_GENERATIONS = 5


@dataclass(frozen=True, slots=True)
class Looked:
    """What the page of an instance speaks of; no image where its pixels cannot be decoded, and then why."""

    identity: InstanceIdentity
    image: Image | None
    why_none: str
    number: int  # of the frame, from 1
    order: list[str]  # of the series

    @property
    def grey(self) -> bool:
        """Whether the frame is one that the K-wavelet codec takes."""
        return self.image is not None and self.image.description.samples == 1

    @property
    def whole(self) -> bool:
        """Whether the pixels that came are still there to be compared with."""
        return self.grey and self.identity.certificate.generation is Generation.LOSSLESS


@page
async def show(request: Request) -> Response:
    """The page."""
    looked = await _look(request)
    return await _rendered(request, looked, None)


@page
async def prove(request: Request) -> Response:
    """The page with the proof: the stored pixels encoded again and again."""
    looked = await _look(request)
    if looked.image is None or not looked.grey:
        raise CodecInputError("only grey images go through the K-wavelet codec")
    proof = await generations(request, looked.image.frame(looked.number), _proof_bound(looked), PROOF_GENERATIONS)
    return await _rendered(request, looked, proof)


def _proof_bound(looked: Looked) -> float:
    """The bound that the instance was coded to, else the policy's usual one: a fixed point is one under every bound."""
    name, _, value = (looked.identity.certificate.target or "").partition("=")
    return float(value) if name == "rel_error" else 0.05


async def _look(request: Request) -> Looked:
    uid, text = str(uid_of(request, "instance")), request.query_params.get("frame", "1")
    if not text.isdecimal():
        raise RequestError(HTTPStatus.BAD_REQUEST, "a frame is named by its number, from 1")
    return await in_thread(look, archive_of(request), uid, int(text))


def look(archive: Archive, uid: str, number: int) -> Looked:
    """Read what the page shows. Raises UnknownInstanceError, DamagedInstanceError."""
    identity = archive.identify(uid)
    order = archive.series_order(identity.study_instance_uid, identity.series_instance_uid)
    try:
        image = archive.image(uid)
    except TranscodeError as error:
        return Looked(identity, None, str(error), 1, order)
    image.frame(number)
    return Looked(identity, image, "", number, order)


async def _rendered(request: Request, looked: Looked, proof: Generations | None) -> Response:
    comparison = await _comparison(request, looked) if looked.whole and proof is None else None
    place = looked.order.index(looked.identity.sop_instance_uid)
    return render(
        request,
        "instance.html",
        identity=looked.identity,
        certificate=looked.identity.certificate,
        image=looked.image,
        why_none=looked.why_none,
        number=looked.number,
        place=place + 1,
        of=len(looked.order),
        earlier=looked.order[place - 1] if place else None,
        later=looked.order[place + 1] if place + 1 < len(looked.order) else None,
        grey=looked.grey,
        whole=looked.whole,
        lossy=looked.identity.certificate.tier is Tier.KWAVELET,
        comparison=comparison,
        proof=proof,
        bounds=[f"{bound:g}" for bound in BOUNDS],
    )


async def _comparison(request: Request, looked: Looked) -> dict[str, Any] | None:
    """The frame beside itself after one encode; None for frames that are too large to encode for a page."""
    if looked.image is None:
        return None
    before, bound = looked.image.frame(looked.number), wanted_error(request)
    try:
        found = await compared(request, before, bound)
    except (CodecInputError, RequestError):
        return None
    step = found.steps[0]
    error = found.pixels.astype(np.int64) - before
    return {
        "bound": f"{bound:g}",
        "record": step.record,
        "payload_bytes": step.payload_bytes,
        "frame_bytes": before.nbytes,
        "max_error": step.max_error,
        "histogram": Histogram.of(error),
    }


ROUTES = [
    Route("/instances/{instance}", show, methods=["GET"]),
    Route("/instances/{instance}", prove, methods=["POST"]),
]
