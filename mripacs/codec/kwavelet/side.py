"""What is known of a band's coefficients before the band is coded: maps made from the coarser bands and its sisters.

Parent, sister and low-pass activity say how large coefficients will be. Two trained linear forms over the low-pass
patch give logits: `lean` that a coefficient is positive, `size` that it is not zero.
The low-pass image used is the decoder's own reconstruction at the band's scale, so both ends see the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import HH, HL, LH
from mripacs.core.jit import compiled, wide

PATCH = 5  # the low-pass patch around a coefficient is 5 x 5
MARGIN = PATCH // 2
# Low-pass values are clamped to +-2^32 before sums and products, so that no stream can leave int64.
LOW_PASS_LIMIT = 1 << 32
ENERGY_LIMIT = 1 << 20
LOGIT_LIMIT = 1 << 16
# Signed inputs are clipped here, in steps: the sign of a coefficient then costs 0.89 bit instead of 0.94 (train).
CLIPPED_STEPS = 3
WEIGHT_BITS = 12  # fractional bits of trained weights; logits have 8
INVERSE_STEP_BITS = 30


@compiled
def pad_low_pass(low: NDArray[np.int64]) -> NDArray[np.int64]:
    """The low-pass image clamped and repeated MARGIN samples past its borders."""
    rows, columns = low.shape
    padded = np.empty((rows + 2 * MARGIN, columns + 2 * MARGIN), np.int64)
    for i in range(rows + 2 * MARGIN):
        y = min(max(i - MARGIN, 0), rows - 1)
        for j in range(columns + 2 * MARGIN):
            x = min(max(j - MARGIN, 0), columns - 1)
            padded[i, j] = min(max(low[y, x], -LOW_PASS_LIMIT), LOW_PASS_LIMIT)
    return padded


@compiled
def parent_map(parent: NDArray[np.int32], rows: int, columns: int) -> NDArray[np.int32]:
    """Sum of magnitudes in the 3 x 3 around the parent, its centre counted thrice; for a band of (rows, columns)."""
    height, width = parent.shape
    sums = np.zeros((height, width), np.int32)
    for i in range(height):
        for j in range(width):
            total = 2 * abs(wide(parent[i, j]))
            for y in range(max(i - 1, 0), min(i + 2, height)):
                for x in range(max(j - 1, 0), min(j + 2, width)):
                    total += abs(wide(parent[y, x]))
            sums[i, j] = min(total, ENERGY_LIMIT)
    energy = np.zeros((rows, columns), np.int32)
    for i in range(rows):
        for j in range(columns):
            energy[i, j] = sums[min(i >> 1, height - 1), min(j >> 1, width - 1)]
    return energy


@compiled
def add_sister(
    sister: NDArray[np.int32], weights: NDArray[np.int32], energy: NDArray[np.int32], lean: NDArray[np.int64]
) -> None:
    """Add a sister band's 3 x 3 magnitudes (centre thrice) to `energy` and its share to `lean`.

    The sister may be one row or column smaller or larger than the band; places outside count as zero.
    weights : int32 (9,), logit per index.
    """
    rows, columns = energy.shape
    height, width = sister.shape
    for i in range(rows):
        for j in range(columns):
            total, signed = 0, 0
            for y in range(max(i - 1, 0), min(i + 2, height)):
                for x in range(max(j - 1, 0), min(j + 2, width)):
                    index = wide(sister[y, x])
                    if index != 0:
                        total += abs(index) * (3 if y == i and x == j else 1)
                        near = min(max(index, -CLIPPED_STEPS), CLIPPED_STEPS)
                        signed += near * wide(weights[(y - i + 1) * 3 + x - j + 1])
            energy[i, j] = min(energy[i, j] + total, ENERGY_LIMIT)
            lean[i, j] += signed >> (WEIGHT_BITS - 8)


@compiled
def low_pass_maps(
    padded: NDArray[np.int64],
    orientation: int,
    step: int,
    lean_weights: NDArray[np.int32],
    size_weights: NDArray[np.int32],
    activity: NDArray[np.int32],
    lean: NDArray[np.int64],
    size: NDArray[np.int64],
) -> None:
    """Fill `activity` (half steps), `lean` and `size` (logits) from the 5 x 5 low-pass patch of each coefficient.

    Activity is the second difference plus half the first one along the direction in which the band is high-pass;
    for HH twice the mixed difference. Weights, int32 (25,) in raster order: logit per step of difference to the centre.
    """
    rows, columns = activity.shape
    inverse = (1 << INVERSE_STEP_BITS) // step
    reach = CLIPPED_STEPS * step
    for i in range(rows):
        y = min(i, padded.shape[0] - PATCH)
        for j in range(columns):
            x = min(j, padded.shape[1] - PATCH)
            centre = padded[y + 2, x + 2]
            leaning, sizing = 0, 0
            for a in range(PATCH):
                for b in range(PATCH):
                    gap = min(max(padded[y + a, x + b] - centre, -reach), reach)
                    leaning += gap * wide(lean_weights[PATCH * a + b])
                    sizing += abs(gap) * wide(size_weights[PATCH * a + b])
            lean[i, j] = _in_steps(leaning >> WEIGHT_BITS, inverse)
            size[i, j] = _in_steps(sizing >> WEIGHT_BITS, inverse)
            if orientation == LH:
                before, after = padded[y + 2, x + 1], padded[y + 2, x + 3]
            elif orientation == HL:
                before, after = padded[y + 1, x + 2], padded[y + 3, x + 2]
            else:
                before = (padded[y + 1, x + 1] + padded[y + 3, x + 3]) // 2
                after = (padded[y + 1, x + 3] + padded[y + 3, x + 1]) // 2
            if orientation == HH:
                rough = 2 * abs(after - before)
            else:
                rough = abs(before + after - 2 * centre) + (abs(after - before) >> 1)
            activity[i, j] = min((rough * inverse) >> (INVERSE_STEP_BITS - 1), ENERGY_LIMIT)


@compiled
def _in_steps(value: int, inverse: int) -> int:
    """A fixed-point value in 1/256 steps, within +-LOGIT_LIMIT."""
    return min(max((value * inverse) >> (INVERSE_STEP_BITS - 8), -LOGIT_LIMIT), LOGIT_LIMIT)
