"""Zeroing of lonely small coefficients, which cost more bits than they save error.

A first quantisation may choose other indices than Q would: its fixed point is found by plain Q all the same, because
what was decoded from an index lies at that index's reconstruction point. Whether an index of +-1 is worth its bits
depends on its surroundings: about 8 bits among zeros, 3 in busy places, with lambda = 0.08 step^2 a bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.jit import compiled, wide

# An index of +-1 becomes 0 where |c| / step (1/256) is below this, by the sum of magnitudes of its 8 neighbours.
LEAST_WORTH = np.array([198, 174, 160, 153, 147, 144, 142], np.int64)


@compiled
def drop_lonely(
    coefficients: NDArray[np.int64],
    bands: NDArray[np.int64],
    steps: NDArray[np.int64],
    least_worth: NDArray[np.int64],
    indices: NDArray[np.int32],
) -> int:
    """Zero detail indices (rows, columns) of +-1 that are not worth their bits; returns how many nonzero ones stay."""
    kept = 0
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        for i in range(top, bottom):
            for j in range(left, right):
                if abs(wide(indices[i, j])) == 1 and bands[b, 5] >= 0:
                    around = -1
                    for y in range(max(i - 1, top), min(i + 2, bottom)):
                        for x in range(max(j - 1, left), min(j + 2, right)):
                            around += abs(wide(indices[y, x]))
                    worth = least_worth[min(around, least_worth.shape[0] - 1)]
                    if (abs(coefficients[i, j]) << 8) < worth * steps[b]:
                        indices[i, j] = 0
                if indices[i, j] != 0:
                    kept += 1
    return kept
