"""What error a step will make, from the coefficients alone: a hint for the search, never a promise.

The wavelet is nearly orthogonal once its bands are weighted by their synthesis norms, so squared errors of coefficients
add up to that of the image within a few per cent, and the same few per cent at neighbouring steps: one measured error
makes the estimate accurate to less than a step of the grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import error_weights, layout
from mripacs.codec.kwavelet.quantiser import BIAS_MORE, BIAS_ONE, ROUNDING_DETAIL
from mripacs.codec.kwavelet.steps import grey_levels
from mripacs.core.jit import compiled, narrow

# Rounding to whole pixels adds a twelfth of a grey level squared; dropping lonely coefficients a few per cent (train).
PIXEL_ROUNDING = 1 / 12
SPARSENESS = 1.04


class ErrorEstimate:
    """Squared errors of one image by step."""

    def __init__(self, coefficients: NDArray[np.float64]) -> None:
        rows, columns = coefficients.shape
        norms = np.sqrt(error_weights(rows, columns))
        self._magnitudes = np.empty((rows, columns), np.float32)
        _weigh(coefficients, layout(rows, columns), norms, self._magnitudes)

    def squared(self, step: int) -> float:
        """Sum of squared errors over the image in grey levels, quantised at grid step `step`."""
        width = grey_levels(step)
        cells = float(_squared_error(self._magnitudes, narrow(1 / width)))
        return SPARSENESS * cells * width * width + PIXEL_ROUNDING * self._magnitudes.size


@compiled
def _weigh(
    coefficients: NDArray[np.float64],
    bands: NDArray[np.int64],
    norms: NDArray[np.float64],
    magnitudes: NDArray[np.float32],
) -> None:
    """Magnitudes in grey levels of orthonormal units."""
    for b in range(bands.shape[0]):
        norm = norms[b]
        for i in range(np.uint64(bands[b, 0]), np.uint64(bands[b, 1])):
            for j in range(np.uint64(bands[b, 2]), np.uint64(bands[b, 3])):
                magnitudes[i, j] = narrow(abs(coefficients[i, j]) * norm)


@compiled
def _squared_error(magnitudes: NDArray[np.float32], inverse: float) -> float:
    """Squared quantisation error in steps; a row of running sums keeps the loop free of one long dependency."""
    rows, columns = magnitudes.shape
    sums = np.zeros(columns, np.float32)
    rounding, half = narrow(ROUNDING_DETAIL / 256), narrow(1.5)
    one, more = narrow(BIAS_ONE / 256), narrow(BIAS_MORE / 256)
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            value = magnitudes[i, j] * inverse
            index = np.floor(value + rounding)
            bias = one if index < half else more
            gap = value - index + (bias if index > 0 else narrow(0))
            sums[j] += gap * gap
    for j in range(columns):
        total += sums[j]
    return total
