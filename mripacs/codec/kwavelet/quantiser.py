"""Dead-zone uniform quantiser on the Mallat layout, in integers.

index = sign(c) * floor(|c| / step + r) with r = 0.449 for details and 1/2 for LL; the reconstruction is pulled towards
zero by 0.051 of a step for |index| = 1 and 0.020 above (coefficients are denser near zero), by nothing for LL.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.core.jit import compiled, wide

# All in 1/256 of a step. On real slices r = 0.45 codes 2.5 to 4 % smaller at equal error than 0.33, 0.3 % than 0.40.
ROUNDING_DETAIL, ROUNDING_LL = 115, 128
BIAS_ONE, BIAS_MORE = 13, 5
# |index| * step of any 16-bit image is below 2^32; beyond 2^33 the inverse transform could leave int64.
COEFFICIENT_LIMIT = 1 << 33


@compiled
def quantise(
    coefficients: NDArray[np.int64], bands: NDArray[np.int64], steps: NDArray[np.int64], indices: NDArray[np.int32]
) -> int:
    """Fill `indices` (rows, columns) from `coefficients`; returns the number of nonzero indices."""
    nonzero = 0
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        step = steps[b]
        rounding = (step * (ROUNDING_LL if bands[b, 5] < 0 else ROUNDING_DETAIL)) >> 8
        for i in range(top, bottom):
            for j in range(left, right):
                value = coefficients[i, j]
                reach = abs(value) + rounding
                if reach < step:
                    indices[i, j] = 0
                else:
                    magnitude = reach // step
                    indices[i, j] = magnitude if value > 0 else -magnitude
                    nonzero += 1
    return nonzero


@compiled
def reconstruct(index: int, step: int, biased: bool) -> int:
    """Fixed-point coefficient of an index."""
    if index == 0:
        return 0
    magnitude = abs(index)
    value = magnitude * step
    if biased:
        value -= (step * (BIAS_ONE if magnitude == 1 else BIAS_MORE)) >> 8
    return value if index > 0 else -value


@compiled
def dequantise(
    indices: NDArray[np.int32], bands: NDArray[np.int64], steps: NDArray[np.int64], coefficients: NDArray[np.int64]
) -> None:
    """Fill `coefficients` (rows, columns) with the reconstructions of `indices`."""
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        step, biased = steps[b], bands[b, 5] >= 0
        for i in range(top, bottom):
            for j in range(left, right):
                index = wide(indices[i, j])
                coefficients[i, j] = 0 if index == 0 else reconstruct(index, step, biased)


@compiled
def within_limit(indices: NDArray[np.int32], bands: NDArray[np.int64], steps: NDArray[np.int64]) -> bool:
    """Whether no reconstruction exceeds COEFFICIENT_LIMIT, so that the inverse transform stays inside int64."""
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        largest = COEFFICIENT_LIMIT // steps[b]
        for i in range(top, bottom):
            row, beyond = indices[i, left:right], 0
            for j in range(row.shape[0]):
                beyond += 1 if abs(wide(row[j])) > largest else 0
            if beyond > 0:
                return False
    return True
