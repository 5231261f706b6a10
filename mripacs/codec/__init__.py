"""Arrays <-> bytes. Knows no DICOM, no database, no file.

    payload = encode(pixels, rel_error=0.05)     # bounded loss, stable over generations
    payload = encode_lossless(pixels)
    pixels = decode(payload)                     # either kind

The codecs behind these functions are found by name: `registry.find("kwavelet")`, `registry.find("lossless")`. Compiled
code is loaded when first used; `warm_up` does that ahead of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decode", "encode", "encode_lossless", "warm_up"]


def encode(
    pixels: NDArray[Any],
    rel_error: float = 0.05,
    *,
    max_error: float | None = None,
    k: int | None = None,
    noise: float | None = None,
    effort: str = "fast",
) -> bytes:
    """Code an image with bounded loss: ||x - y||_F / ||x||_F <= `rel_error`, unless another target is named.

    pixels : (rows, columns) or a stack (n, rows, columns) of uint8, uint16 or int16. max_error : |x - y| <= max_error
    for every pixel instead. k : at most k nonzero wavelet coefficients instead. noise : instead, an error energy of at
    most that fraction of the energy of the image's own noise, as estimated from its pixels. effort : "fast", or "small"
    for fewer bytes in more time. Raises CodecInputError.
    """
    from mripacs.codec.registry import find
    from mripacs.core.errors import CodecInputError
    from mripacs.core.model import Effort, Target, TargetKind

    if effort not in list(Effort):
        raise CodecInputError(f"unknown effort {effort!r}; known are {', '.join(Effort)}")
    others = {TargetKind.MAX_ERROR: max_error, TargetKind.K: k, TargetKind.NOISE: noise}
    named = [Target(kind, value) for kind, value in others.items() if value is not None]
    if len(named) > 1:
        raise CodecInputError(f"{' and '.join(map(str, named))} are several targets; give one")
    target = named[0] if named else Target(TargetKind.REL_ERROR, rel_error)
    return find("kwavelet").encode(_stack(pixels), target, effort=Effort(effort)).payload


def encode_lossless(pixels: NDArray[Any]) -> bytes:
    """Code an image or a stack exactly; colour frames (n, rows, columns, 3) of uint8 too. Raises CodecInputError."""
    from mripacs.codec.registry import find

    return find("lossless").encode(_stack(pixels)).payload


def decode(payload: bytes) -> NDArray[Any]:
    """The pixels of any payload: (rows, columns) of one frame, else (n, rows, columns[, 3]). Raises PayloadError."""
    from mripacs.codec.contract import DEFAULT_MAX_SAMPLES
    from mripacs.codec.decoding import decode_all

    frames = decode_all(payload, DEFAULT_MAX_SAMPLES)
    return frames[0] if len(frames) == 1 else frames


def warm_up() -> float:
    """Load (the first time on a machine: compile) everything that coding needs; seconds it took."""
    import time

    import numpy as np

    start = time.perf_counter()
    ramp = np.add.outer(np.arange(24) ** 2, np.arange(40) * 7)
    for pixels in (ramp.astype(np.uint16), (ramp - 300).astype(np.int16), (ramp[:4] % 251).astype(np.uint8)):
        for target in ({"rel_error": 0.05}, {"max_error": 8}, {"k": 20}):
            decode(encode(pixels, **target))
        decode(encode_lossless(pixels))
    return time.perf_counter() - start


def _stack(pixels: NDArray[Any]) -> NDArray[Any]:
    """A single image as a stack of one; anything else as it is, for the codec to judge."""
    return pixels[None] if getattr(pixels, "ndim", 0) == 2 else pixels
