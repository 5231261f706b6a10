"""What else could make a preview: kwavelet, JPEG XL and WebP at a budget of bytes, at full size or made smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mripacs import codec
from mripacs.core.errors import CodecError
from mripacs.quality.measure import relative_error

SHRINKS = (1, 2, 4, 8)  # a coder that cannot make a large picture small enough codes a smaller one
LARGEST = 512  # pixels of a side: a larger picture is made smaller first, which at these budgets always wins
_KNOBS = 40  # settings between the coarsest and the finest that each search bisects
Bits = tuple[bytes, NDArray[Any]]  # payload and picture
Resize = Callable[[NDArray[np.float32], int, int], NDArray[np.float32]]


def kwavelet(picture: NDArray[np.uint8], budget: int) -> Bits | None:
    """Our codec, effort small, at the smallest error whose payload fits."""

    def run(knob: int) -> Bits:
        payload = codec.encode(picture, rel_error=0.9 * 0.9**knob, effort="small")
        return payload, codec.decode(payload)

    return _finest(run, budget)


def jpeg_xl(picture: NDArray[np.uint8], budget: int) -> Bits | None:
    """JPEG XL (libjxl, effort 7) at the smallest distance whose codestream fits."""

    def run(knob: int) -> Bits:
        payload = bytes(imagecodecs.jpegxl_encode(picture, distance=25 * 0.88**knob, effort=7, usecontainer=False))
        return payload, np.asarray(imagecodecs.jpegxl_decode(payload)).reshape(picture.shape)

    return _finest(run, budget)


def webp(picture: NDArray[np.uint8], budget: int) -> Bits | None:
    """WebP (libwebp, method 6) at the highest quality whose file fits. It knows colour only: three equal channels."""
    colour = np.repeat(picture[..., None], 3, axis=2)

    def run(knob: int) -> Bits:
        payload = bytes(imagecodecs.webp_encode(colour, level=min(100, knob * 2.5), lossless=False, method=6))
        return payload, imagecodecs.webp_decode(payload)[..., :3].mean(axis=2)

    return _finest(run, budget)


PEERS: dict[str, Callable[[NDArray[np.uint8], int], Bits | None]] = {
    "kwavelet": kwavelet,
    "jpegxl": jpeg_xl,
    "webp": webp,
}


def within(name: str, pixels: NDArray[Any], budget: int, resize: Resize) -> tuple[NDArray[np.float32], int] | None:
    """A peer's best picture of a slice, by relative error, and its bytes; None where it cannot.

    The slice is shown to it in 8 bits, so that range and offset cost it nothing. resize : (values, rows, columns).
    """
    low, high = float(pixels.min()), float(pixels.max())
    scaled = (pixels.astype(np.float32) - low) / max(high - low, 1e-6) * 255
    found = list(_tries(name, scaled, budget, resize))
    if not found:
        return None
    shown, size = min(found, key=lambda each: relative_error(pixels, low + each[0] / 255 * (high - low)))
    return (low + shown / 255 * (high - low)).astype(np.float32), size


def _tries(
    name: str, scaled: NDArray[np.float32], budget: int, resize: Resize
) -> Iterator[tuple[NDArray[np.float32], int]]:
    rows, columns = scaled.shape
    for shrink in SHRINKS:
        small = (rows // shrink, columns // shrink)
        if max(small) > LARGEST:
            continue
        if shrink > 1 and min(small) < 16:
            return
        picture = np.rint(np.clip(resize(scaled, *small), 0, 255)).astype(np.uint8)
        coded = PEERS[name](picture, budget)
        if coded is not None:
            yield np.clip(resize(coded[1].astype(np.float32), rows, columns), 0, 255), len(coded[0])


def _finest(run: Callable[[int], Bits], budget: int) -> Bits | None:
    low, high, best = 0, _KNOBS - 1, None
    middle = 0  # where not even the coarsest fits, nothing does
    while low <= high:
        try:
            coded = run(middle)
        except (CodecError, RuntimeError, ValueError):  # RuntimeError and ValueError are imagecodecs'
            return best
        if len(coded[0]) <= budget:
            best, low = coded, middle + 1
        else:
            high = middle - 1
        middle = (low + high) // 2
    return best
