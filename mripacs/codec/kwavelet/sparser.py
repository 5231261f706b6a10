"""Zeroing of lonely small coefficients, which cost more bits than they save error.

A first quantisation may choose other indices than Q would: its fixed point is found by plain Q all the same, because
what was decoded from an index lies at that index's reconstruction point. Whether an index of +-1 is worth its bits
depends on its surroundings: about 8 bits among zeros, 3 in busy places, with lambda = 0.08 step^2 a bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.core.jit import compiled, narrow

# An index of +-1 becomes 0 where |c| / step (1/256) is below this, by the sum of magnitudes of its 8 neighbours.
LEAST_WORTH = tuple(narrow(worth / 256) for worth in (198, 174, 160, 153, 147, 144, 142))


@compiled
def drop_lonely(
    coefficients: NDArray[np.float64],
    bands: NDArray[np.int64],
    steps: NDArray[np.int64],
    indices: NDArray[np.int32],
    sparse: NDArray[np.int32],
) -> int:
    """Fill `sparse` with `indices` (rows, columns) less the detail indices of +-1 that are not worth their bits.

    Returns how many nonzero ones stay.
    """
    kept = 0
    sums = np.zeros(indices.shape[1] + 2, np.float32)
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        if bands[b, 5] < 0:
            for i in range(top, bottom):
                for j in range(left, right):
                    sparse[i, j] = indices[i, j]
                    kept += 1 if indices[i, j] != 0 else 0
            continue
        sums[right - left + 1] = 0
        for i in range(top, bottom):
            above, below = indices[max(i - 1, top), left:right], indices[min(i + 1, bottom - 1), left:right]
            row = indices[i, left:right]
            _add_up(above, narrow(i > top), row, below, narrow(i + 1 < bottom), sums)
            kept += _drop(coefficients[i, left:right], narrow(1 / steps[b]), row, sums, sparse[i, left:right])
    return kept


@compiled
def _add_up(
    above: NDArray[np.int32],
    has_above: float,
    row: NDArray[np.int32],
    below: NDArray[np.int32],
    has_below: float,
    sums: NDArray[np.float32],
) -> None:
    """Magnitudes of three rows, summed by column; sums[j + 1] belongs to column j."""
    for j in range(row.shape[0]):
        outer = has_above * abs(narrow(above[j])) + has_below * abs(narrow(below[j]))
        sums[j + 1] = outer + abs(narrow(row[j]))


@compiled
def _drop(
    coefficients: NDArray[np.float64],
    inverse_step: float,
    row: NDArray[np.int32],
    sums: NDArray[np.float32],
    sparse: NDArray[np.int32],
) -> int:
    kept = 0
    for j in range(row.shape[0]):
        around = sums[j] + sums[j + 1] + sums[j + 2] - narrow(1)
        worth = LEAST_WORTH[0] if around < 1 else LEAST_WORTH[1]
        worth = worth if around < 2 else LEAST_WORTH[2]
        worth = worth if around < 3 else LEAST_WORTH[3]
        worth = worth if around < 4 else LEAST_WORTH[4]
        worth = worth if around < 5 else LEAST_WORTH[5]
        worth = worth if around < 6 else LEAST_WORTH[6]
        magnitude = abs(narrow(coefficients[j])) * inverse_step
        # Below its rounding point an index is 0 anyway; all others of one and a half steps or less are +-1.
        stays = magnitude >= worth or abs(narrow(row[j])) > narrow(1.5)
        sparse[j] = row[j] if stays else np.int32(0)
        kept += 1 if sparse[j] != 0 else 0
    return kept
