"""One image under one step: W, Q and D as a value with methods, so that the rest reads like the argument in the docs.

W is the forward transform, Q the quantiser, D dequantiser, inverse transform, rounding and clipping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import lifting, quantiser, sparser
from mripacs.codec.kwavelet.bands import error_weights, layout
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


def transform(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """W: coefficients int64 (rows, columns) of integer pixels (rows, columns)."""
    return lifting.forward(pixels, lifting.level_count(*pixels.shape))


def quantise(coefficients: NDArray[np.int64], step: int) -> Quantised:
    """Q at grid step `step`."""
    rows, columns = coefficients.shape
    indices = np.empty((rows, columns), np.int32)
    nonzero = quantiser.quantise(coefficients, layout(rows, columns), step_table(rows, columns)[step], indices)
    return Quantised(indices, step, int(nonzero))


def quantise_sparsely(coefficients: NDArray[np.int64], step: int) -> Quantised:
    """Q at grid step `step` less the coefficients that are not worth their bits (`sparser`)."""
    rows, columns = coefficients.shape
    indices = quantise(coefficients, step).indices
    steps = step_table(rows, columns)[step]
    kept = sparser.drop_lonely(coefficients, layout(rows, columns), steps, sparser.LEAST_WORTH, indices)
    return Quantised(indices, step, kept)


def decode(quantised: Quantised, clip: ClipRange) -> NDArray[np.int64]:
    """D: pixels int64 (rows, columns) within `clip`. The indices must be `within_limit`."""
    rows, columns = quantised.indices.shape
    coefficients = np.empty((rows, columns), np.int64)
    steps = step_table(rows, columns)[quantised.step]
    quantiser.dequantise(quantised.indices, layout(rows, columns), steps, coefficients)
    return lifting.inverse(coefficients, lifting.level_count(rows, columns), clip.low, clip.high)


def squared_error(coefficients: NDArray[np.int64], step: int) -> float:
    """Squared error in grey levels that quantising at `step` makes, seen in the coefficient domain: a search hint."""
    rows, columns = coefficients.shape
    bands, weights = layout(rows, columns), error_weights(rows, columns)
    return float(quantiser.squared_error(coefficients, bands, step_table(rows, columns)[step], weights))
