"""The fast coder's linear forms over what is known before a band: low-pass patch, parent and sisters, as whole planes.

`size` is the logit that a coefficient is not zero, `lean` that it is positive. All numbers are integers that float32
holds exactly (sums stay below 2^24 with the shipped weights), so vector width changes nothing. Logarithms are the
float's own bits: 64 log2 v, linear between powers of two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import HL, LH
from mripacs.codec.kwavelet.fast_shapes import PATCH, PATCH_SIZE
from mripacs.core.jit import compiled, inlined, narrow

MARGIN = PATCH // 2
GAPS_PER_STEP = 16  # resolution of low-pass differences
LARGEST_GAP = narrow(3 * GAPS_PER_STEP)
LARGEST_LOW = 1048576.0
LARGEST_SIGNED = narrow(3)
LARGEST_MAGNITUDE = narrow(1023)
ONE_BITS = 0x3F800000  # of float32 1.0
LOG_SHIFT = 17  # mantissa bits dropped: 6 are left
ZERO, ONE, TWO = narrow(0), narrow(1), narrow(2)


@inlined
def logarithm(sum_of_magnitudes: float) -> float:
    """64 log2(1 + 2 v) of a whole number v >= 0, piecewise linear."""
    bits = np.float32(ONE + TWO * sum_of_magnitudes).view(np.int32)
    return narrow((bits - ONE_BITS) >> LOG_SHIFT)


@compiled
def pad_low_pass(low: NDArray[np.float64], rows: int, columns: int, step: float) -> NDArray[np.float32]:
    """The top left (rows, columns) of `low` in 1/16 step, its border samples repeated MARGIN times outwards."""
    padded = np.empty((rows + 2 * MARGIN, columns + 2 * MARGIN), np.float32)
    scale = GAPS_PER_STEP / step
    for i in range(rows):
        for j in range(columns):
            value = np.floor(low[i, j] * scale)
            value = value if value > -LARGEST_LOW else -LARGEST_LOW
            padded[i + MARGIN, j + MARGIN] = narrow(value if value < LARGEST_LOW else LARGEST_LOW)
    for i in range(MARGIN, rows + MARGIN):
        for k in range(MARGIN):
            padded[i, k] = padded[i, MARGIN]
            padded[i, columns + MARGIN + k] = padded[i, columns + MARGIN - 1]
    for k in range(MARGIN):
        for j in range(columns + 2 * MARGIN):
            padded[k, j] = padded[MARGIN, j]
            padded[rows + MARGIN + k, j] = padded[rows + MARGIN - 1, j]
    return padded


@inlined
def _clip(gap: float) -> float:
    gap = gap if gap > -LARGEST_GAP else -LARGEST_GAP
    return gap if gap < LARGEST_GAP else LARGEST_GAP


@compiled
def add_patch(
    low: NDArray[np.float32],
    size_weights: NDArray[np.float32],
    lean_weights: NDArray[np.float32],
    size: NDArray[np.float32],
    lean: NDArray[np.float32],
) -> None:
    """Add the shares of the low-pass patch, whose differences to its centre are clipped at 3 steps."""
    rows, columns = lean.shape
    for i in range(rows):
        for a in range(0, PATCH_SIZE, PATCH):
            s0, s1, s2, s3, s4 = size_weights[a : a + PATCH]
            w0, w1, w2, w3, w4 = lean_weights[a : a + PATCH]
            line, middle = low[i + a // PATCH], low[i + MARGIN]
            for j in range(columns):
                centre = middle[j + 2]
                g0, g1, g2 = _clip(line[j] - centre), _clip(line[j + 1] - centre), _clip(line[j + 2] - centre)
                g3, g4 = _clip(line[j + 3] - centre), _clip(line[j + 4] - centre)
                lean[i, j] += w0 * g0 + w1 * g1 + w2 * g2 + w3 * g3 + w4 * g4
                size[i, j] += s0 * abs(g0) + s1 * abs(g1) + s2 * abs(g2) + s3 * abs(g3) + s4 * abs(g4)


@compiled
def add_activity(low: NDArray[np.float32], orientation: int, weight: float, size: NDArray[np.float32]) -> None:
    """Add the share of the low-pass activity: second difference and half the first in the high-pass direction."""
    half = narrow(0.5)
    for i in range(size.shape[0]):
        above, middle, below, row = low[i + 1], low[i + 2], low[i + 3], size[i]
        # A loop for each orientation: the one loop that asks for it takes four times as long.
        if orientation == LH:
            for j in range(row.shape[0]):
                before, after = middle[j + 1], middle[j + 3]
                row[j] += weight * logarithm(abs(before + after - TWO * middle[j + 2]) + half * abs(after - before))
        elif orientation == HL:
            for j in range(row.shape[0]):
                before, after = above[j + 2], below[j + 2]
                row[j] += weight * logarithm(abs(before + after - TWO * middle[j + 2]) + half * abs(after - before))
        else:
            for j in range(row.shape[0]):
                before, after = above[j + 1] + below[j + 3], above[j + 3] + below[j + 1]
                row[j] += weight * logarithm(abs(after - before))


@compiled
def planes(band: NDArray[np.int32], magnitudes: NDArray[np.float32], signed: NDArray[np.float32]) -> None:
    """Fill magnitudes and indices clipped at 3, both with a zero border, from indices (rows, columns)."""
    rows, columns = band.shape
    for j in range(columns + 2):
        magnitudes[0, j], magnitudes[rows + 1, j], signed[0, j], signed[rows + 1, j] = ZERO, ZERO, ZERO, ZERO
    for i in range(rows):
        row, row_magnitudes, row_signed = band[i], magnitudes[i + 1], signed[i + 1]
        row_magnitudes[0], row_magnitudes[columns + 1] = ZERO, ZERO
        row_signed[0], row_signed[columns + 1] = ZERO, ZERO
        for j in range(columns):
            index = narrow(row[j])
            magnitude = abs(index)
            row_magnitudes[j + 1] = magnitude if magnitude < LARGEST_MAGNITUDE else LARGEST_MAGNITUDE
            index = index if index > -LARGEST_SIGNED else -LARGEST_SIGNED
            row_signed[j + 1] = index if index < LARGEST_SIGNED else LARGEST_SIGNED


@compiled
def around_log(magnitudes: NDArray[np.float32], logs: NDArray[np.float32]) -> None:
    """Logarithms of 3 x 3 sums with the centre thrice; magnitudes (rows + 2, columns + 2), logs (rows, columns)."""
    rows, columns = logs.shape
    for i in range(rows):
        above, middle, below = magnitudes[i], magnitudes[i + 1], magnitudes[i + 2]
        for j in range(columns):
            total = above[j] + above[j + 1] + above[j + 2] + below[j] + below[j + 1] + below[j + 2]
            total += middle[j] + middle[j + 2] + narrow(3) * middle[j + 1]
            logs[i, j] = logarithm(total)


@compiled
def add_sister(
    logs: NDArray[np.float32],
    signed: NDArray[np.float32],
    size_weight: float,
    lean_weights: NDArray[np.float32],
    size: NDArray[np.float32],
    lean: NDArray[np.float32],
) -> None:
    """Add a sister band's shares; it may have one row or column more or fewer, which count as zero."""
    rows, columns = min(size.shape[0], logs.shape[0]), min(size.shape[1], logs.shape[1])
    w0, w1, w2, w3, w4, w5, w6, w7, w8 = lean_weights
    for i in range(rows):
        above, middle, below = signed[i], signed[i + 1], signed[i + 2]
        for j in range(columns):
            size[i, j] += size_weight * logs[i, j]
            lean[i, j] += (
                w0 * above[j] + w1 * above[j + 1] + w2 * above[j + 2] + w3 * middle[j] + w4 * middle[j + 1]
            ) + (w5 * middle[j + 2] + w6 * below[j] + w7 * below[j + 1] + w8 * below[j + 2])


@compiled
def add_parent(logs: NDArray[np.float32], weight: float, size: NDArray[np.float32]) -> None:
    """Add the parent's share to its four children; a child more than it has is its last one's."""
    rows, columns = size.shape
    pairs = min(columns // 2, logs.shape[1])
    for i in range(rows):
        parents, row = logs[min(i >> 1, logs.shape[0] - 1)], size[i]
        for j in range(pairs):
            share = weight * parents[j]
            row[2 * j] += share
            row[2 * j + 1] += share
        for j in range(2 * pairs, columns):
            row[j] += weight * parents[min(j >> 1, logs.shape[1] - 1)]
