"""The setting of a coder that meets an error or a budget of bytes, by bisection over its knobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mripacs.core.errors import CodecError
from mripacs.quality.coders import Coder
from mripacs.quality.measure import relative_error


@dataclass(frozen=True, slots=True)
class Coded:
    """One image through one coder at one setting."""

    knob: float
    payload: bytes
    pixels: NDArray[Any]  # (rows, columns) int32, decoded
    error: float  # relative Frobenius error
    encode_seconds: float
    decode_seconds: float


def code(coder: Coder, pixels: NDArray[Any], knob: float) -> Coded:
    """Encode and decode once, timed. Raises CodecError where the setting does not apply."""
    start = time.perf_counter()
    payload = coder.encode(pixels, knob)
    encoded = time.perf_counter()
    decoded = coder.decode(payload, pixels)
    end = time.perf_counter()
    return Coded(knob, payload, decoded, relative_error(pixels, decoded), encoded - start, end - encoded)


def smallest_for_error(coder: Coder, pixels: NDArray[Any], target: float) -> Coded | None:
    """The coarsest setting with a relative error of at most `target`; None when no setting has one."""
    if coder.knob_is_error:
        return code(coder, pixels, target)
    return _coarsest(coder, pixels, lambda coded: coded.error <= target)


def best_within_bytes(coder: Coder, pixels: NDArray[Any], budget: int) -> Coded | None:
    """The finest setting whose payload has at most `budget` bytes; None when even the coarsest has more."""
    low, high, best = 0, len(coder.knobs) - 1, None
    while low <= high:
        middle = (low + high) // 2
        coded = _code_or_none(coder, pixels, coder.knobs[middle])
        if coded is not None and len(coded.payload) > budget:
            high = middle - 1
        else:
            best, low = coded or best, middle + 1
    return best


def _coarsest(coder: Coder, pixels: NDArray[Any], good: Callable[[Coded], bool]) -> Coded | None:
    low, high, best = 0, len(coder.knobs) - 1, None
    while low <= high:
        middle = (low + high) // 2
        coded = _code_or_none(coder, pixels, coder.knobs[middle])
        if coded is not None and good(coded):
            best, high = coded, middle - 1
        else:
            low = middle + 1
    return best


def _code_or_none(coder: Coder, pixels: NDArray[Any], knob: float) -> Coded | None:
    """None where the setting does not apply to the image: those lie at the coarse end."""
    try:
        return code(coder, pixels, knob)
    except CodecError:
        return None
