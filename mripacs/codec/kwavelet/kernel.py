"""One image under one step: W, Q and D as a value with methods, so that the rest reads like the argument in the docs.

W is the forward transform, Q the quantiser, D dequantiser, inverse transform, rounding and clipping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import lifting, quantiser, sparser, swift_lifting, swift_quantiser
from mripacs.codec.kwavelet.bands import layout
from mripacs.codec.kwavelet.scratch import scratch
from mripacs.codec.kwavelet.steps import step_table


@dataclass(frozen=True, slots=True)
class ClipRange:
    """What decoded pixels are clipped to: [0, 2^bits - 1], or [-2^bits, 2^bits - 1] when signed."""

    signed: bool
    bits: int

    @property
    def low(self) -> int:
        """Smallest pixel."""
        return -(1 << self.bits) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest pixel."""
        return (1 << self.bits) - 1

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> ClipRange:
        """The smallest range of this form that holds all pixels; it follows from the pixels alone."""
        low, high = int(pixels.min()), int(pixels.max())
        return cls(low < 0, max(high.bit_length() if high > 0 else 0, (-1 - low).bit_length() if low < 0 else 0))


@dataclass(frozen=True, slots=True)
class Quantised:
    """Indices int32 (rows, columns) in the Mallat layout at grid step `step`."""

    indices: NDArray[np.int32]
    step: int
    nonzero: int


def transform(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """W: coefficients (rows, columns), whole numbers in fixed point, of integer pixels (rows, columns)."""
    coefficients = np.empty(pixels.shape, np.float64)
    swift_lifting.forward(np.ascontiguousarray(pixels, np.int32), lifting.level_count(*pixels.shape), coefficients)
    return coefficients


def quantise(coefficients: NDArray[np.float64], step: int) -> Quantised:
    """Q at grid step `step`."""
    indices = np.empty(coefficients.shape, np.int32)
    return Quantised(indices, step, quantise_into(indices, coefficients, step)[0])


def quantise_into(indices: NDArray[np.int32], coefficients: NDArray[np.float64], step: int) -> tuple[int, int]:
    """Q at grid step `step` into `indices`, of the same shape: how many are not zero, how many have changed."""
    rows, columns = coefficients.shape
    steps = step_table(rows, columns)[step]
    nonzero, changed = swift_quantiser.quantise(coefficients, layout(rows, columns), steps, indices)
    return int(nonzero), int(changed)


def quantise_sparsely(coefficients: NDArray[np.float64], step: int) -> Quantised:
    """Q at grid step `step` less the coefficients that are not worth their bits (`sparser`)."""
    rows, columns = coefficients.shape
    indices, sparse = scratch("indices", (rows, columns), np.int32), np.empty((rows, columns), np.int32)
    quantise_into(indices, coefficients, step)
    kept = sparser.drop_lonely(coefficients, layout(rows, columns), step_table(rows, columns)[step], indices, sparse)
    return Quantised(sparse, step, int(kept))


def decode(quantised: Quantised, clip: ClipRange) -> NDArray[np.int32]:
    """D: pixels (rows, columns) within `clip`. The indices must be `within_limit`."""
    rows, columns = quantised.indices.shape
    steps = step_table(rows, columns)[quantised.step]
    coefficients = scratch("coefficients", (rows, columns), np.float64)
    swift_quantiser.dequantise(quantised.indices, layout(rows, columns), steps, coefficients)
    pixels = np.empty((rows, columns), np.int32)
    levels = lifting.level_count(rows, columns)
    if swift_lifting.inverse(coefficients, levels, float(clip.low), float(clip.high), pixels):
        return pixels
    return _decode_wide(quantised, clip)


def _decode_wide(quantised: Quantised, clip: ClipRange) -> NDArray[np.int32]:
    """`decode` in 64-bit integers, for values that float64 does not hold exactly."""
    rows, columns = quantised.indices.shape
    steps = step_table(rows, columns)[quantised.step]
    coefficients = np.empty((rows, columns), np.int64)
    quantiser.dequantise(quantised.indices, layout(rows, columns), steps, coefficients)
    return lifting.inverse(coefficients, lifting.level_count(rows, columns), clip.low, clip.high).astype(np.int32)
