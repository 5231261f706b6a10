"""The quantiser of `quantiser` on float64 coefficients: the same indices and reconstructions, in vector arithmetic.

All values are integers below 2^53. A quotient of two such integers, correctly rounded, never reaches the next integer
from below, so its floor is the integer quotient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.quantiser import BIAS_MORE, BIAS_ONE, ROUNDING_DETAIL, ROUNDING_LL
from mripacs.core.jit import compiled


@compiled
def quantise(
    coefficients: NDArray[np.float64], bands: NDArray[np.int64], steps: NDArray[np.int64], indices: NDArray[np.int32]
) -> tuple[int, int]:
    """Fill `indices` (rows, columns) from `coefficients`; returns how many are not zero, and how many have changed."""
    nonzero, changed = 0, 0
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        step = np.float64(steps[b])
        rounding = np.float64((steps[b] * (ROUNDING_LL if bands[b, 5] < 0 else ROUNDING_DETAIL)) >> 8)
        for i in range(np.uint64(top), np.uint64(bottom)):  # unsigned: an index that may be negative is not vectorised
            for j in range(np.uint64(left), np.uint64(right)):
                value = coefficients[i, j]
                magnitude = np.floor((abs(value) + rounding) / step)
                index = np.int32(magnitude if value > 0 else -magnitude)
                changed += 1 if index != indices[i, j] else 0
                indices[i, j] = index
                nonzero += 1 if index != 0 else 0
    return nonzero, changed


@compiled
def dequantise(
    indices: NDArray[np.int32], bands: NDArray[np.int64], steps: NDArray[np.int64], coefficients: NDArray[np.float64]
) -> None:
    """Fill `coefficients` (rows, columns) with the reconstructions of `indices`."""
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        step, biased = np.float64(steps[b]), bands[b, 5] >= 0
        one = np.float64((steps[b] * BIAS_ONE) >> 8) if biased else 0.0
        more = np.float64((steps[b] * BIAS_MORE) >> 8) if biased else 0.0
        for i in range(np.uint64(top), np.uint64(bottom)):
            for j in range(np.uint64(left), np.uint64(right)):
                index = np.float64(indices[i, j])
                magnitude = abs(index)
                bias = one if magnitude == 1.0 else more
                value = magnitude * step - bias if magnitude > 0.0 else 0.0
                coefficients[i, j] = value if index > 0.0 else -value
