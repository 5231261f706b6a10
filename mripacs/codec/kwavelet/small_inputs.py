"""What the `small` coder's net sees of coefficients, as small integers: filled row by row, same in coding and training.

Everything comes from what the decoder has: its own low-pass image at the band's scale, the parent band, the sister
bands coded before. Places outside a band count as zero, the low-pass image is repeated past its borders.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.side import INVERSE_STEP_BITS
from mripacs.codec.kwavelet.small_shapes import (
    COMPRESSED_SIZE,
    PARENT_INPUTS,
    PATCH,
    PATCH_INPUTS,
    SHAPE_INPUTS,
    SISTER_INPUTS,
    UNIT,
)
from mripacs.core.jit import compiled, inlined, wide

SISTER_MARGIN, PARENT_MARGIN = 3, 2
SUM_LIMIT = 1 << 20
# The low-pass image is kept in 1/64 of a step, clamped so that sums of four stay inside int32; inputs are eighths.
LOW_PASS_BITS = 6
LOW_PASS_CLAMP = 1 << 28
EIGHTHS_SHIFT = 3
# A place where parent and sisters are zero and low-pass differences are at most this (compressed, about 1/2 step) is
# quiet: 24 % of all coefficients at 5 % error (train), and one in 35 000 of them is not zero.
QUIET_ACTIVITY = 6


class Surroundings(NamedTuple):
    """What is known before a band of (rows, columns) is coded. Index arrays have margins of zeros."""

    low_pass: NDArray[np.int32]  # (rows + 4, columns + 4) at least, in 1/64 steps
    parent: NDArray[np.int32]  # (rows / 2 + 4, columns / 2 + 4); all zero at the coarsest level
    parent_sums: NDArray[np.int32]  # 5 x 5 sums of its magnitudes
    sisters: NDArray[np.int32]  # (orientation, rows + 6, columns + 6)
    sister_sums: NDArray[np.int32]  # (orientation, rows, columns), 7 x 7 sums


@compiled
def padded(indices: NDArray[np.int32], rows: int, columns: int, margin: int) -> NDArray[np.int32]:
    """The indices cut or filled up to (rows, columns), with `margin` zeros on each side."""
    result = np.zeros((rows + 2 * margin, columns + 2 * margin), np.int32)
    for i in range(min(rows, indices.shape[0])):
        for j in range(min(columns, indices.shape[1])):
            result[i + margin, j + margin] = indices[i, j]
    return result


@compiled
def in_steps(low_pass: NDArray[np.int64], step: int) -> NDArray[np.int32]:
    """A low-pass image in 1/64 of the band's step, clamped to +-LOW_PASS_CLAMP."""
    inverse = (1 << INVERSE_STEP_BITS) // step
    result = np.empty(low_pass.shape, np.int32)
    for i in range(low_pass.shape[0]):
        for j in range(low_pass.shape[1]):
            value = (low_pass[i, j] * inverse) >> (INVERSE_STEP_BITS - LOW_PASS_BITS)
            result[i, j] = min(max(value, -LOW_PASS_CLAMP), LOW_PASS_CLAMP)
    return result


@compiled
def box_sums(plane: NDArray[np.int32], margin: int) -> NDArray[np.int32]:
    """Sums of magnitudes over (2 margin + 1)^2 around each place of a plane padded by `margin`."""
    rows, columns = plane.shape[0] - 2 * margin, plane.shape[1] - 2 * margin
    sums = np.zeros((rows, columns), np.int32)
    by_column = np.zeros(columns + 2 * margin, np.int64)
    for i in range(2 * margin):
        for j in range(columns + 2 * margin):
            by_column[j] += abs(wide(plane[i, j]))
    for i in range(rows):
        for j in range(columns + 2 * margin):
            by_column[j] += abs(wide(plane[i + 2 * margin, j]))
        total = 0
        for j in range(2 * margin):
            total += by_column[j]
        for j in range(columns):
            total += by_column[j + 2 * margin]
            sums[i, j] = min(total, SUM_LIMIT)
            total -= by_column[j]
        for j in range(columns + 2 * margin):
            by_column[j] -= abs(wide(plane[i, j]))
    return sums


@inlined
def compress(table: NDArray[np.int16], value: int) -> int:
    """16 ln(1 + value / 16) of value >= 0."""
    return wide(table[min(value, COMPRESSED_SIZE - 1)])


@compiled
def fill_low_pass(low_pass: NDArray[np.int32], i: int, table: NDArray[np.int16], inputs: NDArray[np.float32]) -> None:
    """The inputs (PATCH_INPUTS + SHAPE_INPUTS, columns) of row i: differences to each patch's centre, their shape."""
    columns = inputs.shape[1]
    at = 0
    for a in range(PATCH):
        for b in range(PATCH):
            if a != PATCH // 2 or b != PATCH // 2:
                for j in range(columns):
                    gap = wide(low_pass[i + a, j + b]) - low_pass[i + 2, j + 2]
                    size = compress(table, abs(gap) >> EIGHTHS_SHIFT)
                    inputs[at, j] = size if gap >= 0 else -size
                at += 1
    for j in range(columns):
        centre = wide(low_pass[i + 2, j + 2])
        west, east = wide(low_pass[i + 2, j + 1]), wide(low_pass[i + 2, j + 3])
        north, south = wide(low_pass[i + 1, j + 2]), wide(low_pass[i + 3, j + 2])
        far_x = abs(low_pass[i + 2, j + 4] - east) + abs(west - low_pass[i + 2, j])
        far_y = abs(low_pass[i + 4, j + 2] - south) + abs(north - low_pass[i, j + 2])
        mixed = wide(low_pass[i + 1, j + 1]) + low_pass[i + 3, j + 3] - low_pass[i + 1, j + 3] - low_pass[i + 3, j + 1]
        inputs[at, j] = compress(table, abs(east - west) >> EIGHTHS_SHIFT)
        inputs[at + 1, j] = compress(table, abs(south - north) >> EIGHTHS_SHIFT)
        inputs[at + 2, j] = compress(table, abs(east + west - 2 * centre) >> EIGHTHS_SHIFT)
        inputs[at + 3, j] = compress(table, abs(south + north - 2 * centre) >> EIGHTHS_SHIFT)
        inputs[at + 4, j] = compress(table, far_x >> EIGHTHS_SHIFT)
        inputs[at + 5, j] = compress(table, far_y >> EIGHTHS_SHIFT)
        inputs[at + 6, j] = compress(table, abs(mixed) >> EIGHTHS_SHIFT)
        inputs[at + 7, j] = compress(table, max(centre, 0) >> EIGHTHS_SHIFT)


@compiled
def fill_parent(around: Surroundings, i: int, table: NDArray[np.int16], inputs: NDArray[np.float32]) -> None:
    """The inputs (PARENT_INPUTS, columns) of row i: magnitudes at the parent's place and around it."""
    parent = around.parent
    height, width = parent.shape[0] - 2 * PARENT_MARGIN, parent.shape[1] - 2 * PARENT_MARGIN
    y = min(i >> 1, height - 1) + PARENT_MARGIN
    beside = y + 2 * (i & 1) - 1
    for j in range(inputs.shape[1]):
        x = min(j >> 1, width - 1) + PARENT_MARGIN
        next_to = x + 2 * (j & 1) - 1
        total = 0
        for a in range(-1, 2):
            for b in range(-1, 2):
                total += abs(wide(parent[y + a, x + b]))
        inputs[0, j] = compress(table, UNIT * abs(wide(parent[y, x])))
        inputs[1, j] = compress(table, UNIT * abs(wide(parent[beside, x])))
        inputs[2, j] = compress(table, UNIT * abs(wide(parent[y, next_to])))
        inputs[3, j] = compress(table, UNIT * abs(wide(parent[beside, next_to])))
        inputs[4, j] = compress(table, UNIT * total)
        inputs[5, j] = compress(table, UNIT * wide(around.parent_sums[y - PARENT_MARGIN, x - PARENT_MARGIN]))


@compiled
def fill_sister(around: Surroundings, k: int, i: int, table: NDArray[np.int16], inputs: NDArray[np.float32]) -> None:
    """The inputs (SISTER_INPUTS, columns) of row i from sister k: 3 x 3 signed, 3 x 3 magnitudes, 7 x 7 sum."""
    for a in range(3):
        for b in range(3):
            for j in range(inputs.shape[1]):
                value = UNIT * wide(around.sisters[k, i + a + 2, j + b + 2])
                size = compress(table, abs(value))
                inputs[3 * a + b, j] = size if value >= 0 else -size
                inputs[9 + 3 * a + b, j] = size
    for j in range(inputs.shape[1]):
        inputs[18, j] = compress(table, UNIT * wide(around.sister_sums[k, i, j]))


@compiled
def fill_rows(
    around: Surroundings, orientation: int, first: int, last: int, table: NDArray[np.int16], inputs: NDArray[np.float32]
) -> None:
    """All inputs (outside_inputs, (last - first) * columns) of rows first to last of a band."""
    columns = inputs.shape[1] // (last - first)
    for i in range(first, last):
        row = inputs[:, (i - first) * columns : (i - first + 1) * columns]
        at = PATCH_INPUTS + SHAPE_INPUTS
        fill_low_pass(around.low_pass, i, table, row[:at])
        fill_parent(around, i, table, row[at : at + PARENT_INPUTS])
        for k in range(orientation):
            start = at + PARENT_INPUTS + SISTER_INPUTS * k
            fill_sister(around, k, i, table, row[start : start + SISTER_INPUTS])


@compiled
def quiet_places(inputs: NDArray[np.float32], orientation: int, quiet: NDArray[np.bool_]) -> None:
    """Fill `quiet` (places,): nothing near in parent and sisters, and hardly any difference in the low-pass image."""
    parent_sum = PATCH_INPUTS + SHAPE_INPUTS + PARENT_INPUTS - 1
    for n in range(quiet.shape[0]):
        still = inputs[parent_sum, n] == 0
        for k in range(orientation):
            still &= inputs[parent_sum + SISTER_INPUTS * (k + 1), n] == 0
        for at in range(PATCH_INPUTS, PATCH_INPUTS + SHAPE_INPUTS - 1):
            still &= inputs[at, n] <= QUIET_ACTIVITY
        quiet[n] = still
