"""What the K-wavelet codec makes of a frame that is still whole: computed when somebody looks, and held for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from mripacs.core.digests import pixel_digest
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.targets import archive_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mripacs.retrieve.generations import Generations

BOUNDS = (0.01, 0.02, 0.05, 0.1)  # relative errors to choose from
HELD = 64  # comparisons, of 256 x 256 pixels 128 kB each
MAX_SAMPLES = 4 << 20  # of a frame: 2048 x 2048 take some seconds
AT_ONCE = 1  # encodes for people who look; the codec's processes are for what comes in


def wanted_error(request: Request) -> float:
    """The bound that the query chooses, of BOUNDS; 5 % without a word. Raises RequestError 400."""
    text = request.query_params.get("bound", "0.05")
    for bound in BOUNDS:
        if text == f"{bound:g}":
            return bound
    raise RequestError(400, f"bound is one of {', '.join(f'{bound:g}' for bound in BOUNDS)}")


async def compared(request: Request, frame: NDArray[Any], bound: float) -> Generations:
    """A frame after one encode to a bound. Raises RequestError 413 for a huge one, CodecInputError."""
    held: dict[tuple[str, float], Generations] = request.app.state.comparisons
    key = pixel_digest(frame), bound
    if key not in held:
        found = await generations(request, frame, bound, 1)
        held[key] = found
        while len(held) > HELD:
            held.pop(next(iter(held)), None)
        return found
    return held[key]


async def generations(request: Request, frame: NDArray[Any], bound: float, count: int) -> Generations:
    """Encodes one after another. Raises as `compared`."""
    if frame.size > MAX_SAMPLES:
        raise RequestError(413, f"a frame of {frame.size} pixels is not encoded for a page: {MAX_SAMPLES} at most")
    state = request.app.state
    if not hasattr(state, "encoders"):
        state.encoders = CapacityLimiter(AT_ONCE)
    return await to_thread.run_sync(
        lambda: archive_of(request).generations(frame, bound, count), limiter=state.encoders
    )
