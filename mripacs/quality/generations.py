"""What becomes of an image that is coded again and again, at one setting or at one budget of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import CodecError
from mripacs.quality.coders import Coder
from mripacs.quality.measure import relative_error
from mripacs.quality.search import Coded, best_within_bytes, code, smallest_for_error


class Control(StrEnum):
    """What stays the same from one generation to the next."""

    SETTING = "constant setting"
    RATE = "constant rate"


@dataclass(frozen=True, slots=True)
class Chain:
    """The errors of one coder's generations against the original; `errors[0]` is the first generation's."""

    coder: str
    control: Control
    first_bytes: int
    errors: tuple[float, ...]
    same_from: int | None  # generation from which on the pixels never changed again; None if the last one changed


def chain(coder: Coder, pixels: NDArray[Any], target: float, generations: int, control: Control) -> Chain | None:
    """Code an image so often, the first time to a relative error of `target`; None when the coder cannot reach it.

    At constant setting each generation has the knob of the first one; at constant rate the finest knob whose payload is
    no larger than the first one's, as an archive does that is given a ratio.
    """
    first = smallest_for_error(coder, pixels, target)
    if first is None:
        return None
    errors, same_from, before = [first.error], 1, first.pixels
    for generation, after in enumerate(_later(coder, first, pixels, control, generations), start=2):
        errors.append(relative_error(pixels, after))
        if not np.array_equal(before, after):
            same_from = generation
        before = after
    still = same_from < generations or generations == 1
    return Chain(coder.name, control, len(first.payload), tuple(errors), same_from if still else None)


def chains(
    coders: Sequence[Coder], pixels: NDArray[Any], target: float, generations: int
) -> Iterator[tuple[Coder, Control, Chain | None]]:
    """Every coder under both controls."""
    for coder in coders:
        for control in Control:
            yield coder, control, chain(coder, pixels, target, generations, control)


def _later(
    coder: Coder, first: Coded, original: NDArray[Any], control: Control, generations: int
) -> Iterator[NDArray[Any]]:
    """The pixels of generations 2 and on. A generation that repeats its input at one setting repeats it for ever."""
    current, settled = first.pixels, False
    for _ in range(1, generations):
        if not settled:
            image = _as_stored(current, original)
            again = (
                code(coder, image, first.knob)
                if control is Control.SETTING
                else best_within_bytes(coder, image, len(first.payload))
            )
            if again is None:
                raise CodecError(f"{coder.name} cannot code its own output within {len(first.payload)} bytes")
            settled = np.array_equal(again.pixels, current)
            current = again.pixels
        yield current


def _as_stored(pixels: NDArray[Any], original: NDArray[Any]) -> NDArray[Any]:
    """Decoded pixels in the original's type, clipped to it, as an archive would write them."""
    limits = np.iinfo(original.dtype)
    stored: NDArray[Any] = np.clip(pixels, limits.min, limits.max).astype(original.dtype)
    return stored
