"""Quantised coefficients <-> bytes: each magnitude is coded in unary, the odds by a small network over what is known.

The network is exact: integers only, so that every machine sees the same odds. Its inputs are magnitudes of neighbours,
parents and sisters (as logarithms), the place in the square and the step; a band has its own biases. The encoder may
lower a magnitude by one where that saves more bits than it costs error (rate-distortion optimised quantisation).
Probabilities are in 1/65536, logits and weights have 8 and 12 fractional bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.range_coder import code
from mripacs.core.jit import compiled, inlined, wide

INPUTS = 18
OUTPUTS = 3  # logits of: not zero, above one, above what is known to be reached
PAD = 2  # zeros around each band, so that neighbours need no test
FIRST_BITS = 8  # fractional bits of the first layer: its sums stay inside int32
WEIGHT_BITS = 12  # of the second
LOGIT_LIMIT = 2047  # +-8
UNARY_LIMIT = 14  # larger magnitudes go on as Elias gamma
MAGNITUDE_LIMIT = 1 << 20
LL_BUCKETS = 32
LL_LENGTHS = 20
NOTHING = np.zeros((0, INPUTS), np.int16)


class Odds(NamedTuple):
    """The trained numbers of the entropy coder; all int32."""

    first: NDArray[np.int32]  # (INPUTS, hidden) weights
    bias: NDArray[np.int32]  # (bands, hidden)
    second: NDArray[np.int32]  # (OUTPUTS, hidden)
    offset: NDArray[np.int32]  # (bands, OUTPUTS)
    squash: NDArray[np.int32]  # (2 * LOGIT_LIMIT + 2,) probability of a logit - LOGIT_LIMIT - 1
    logarithm: NDArray[np.int32]  # (256,) of a magnitude, 16 * log2(1 + m)
    low_scale: NDArray[np.int32]  # (7, 7) usual size of the LL's coefficients by frequency, in step indices
    low_odds: NDArray[np.int32]  # (LL_BUCKETS, LL_LENGTHS) of one more bit, by that size against the step


class Trial(NamedTuple):
    """What an encode may choose from."""

    ratio: NDArray[np.float32]  # (levels, 3, rows, columns) |coefficient| / step
    weight: float  # lambda: squared error, in steps, that a bit may cost
    bits: NDArray[np.float32]  # (4096,) what a decision of that probability / 16 costs
    centres: NDArray[np.float32]  # (3,) where magnitudes 1, 2 and above are reconstructed, added to the magnitude


@inlined
def _log(table: NDArray[np.int32], magnitude: int) -> int:
    return wide(table[min(magnitude, 255)])


@inlined
def _look(
    known: NDArray[np.int32], level: int, band: int, y: int, x: int, step: int, base_rows: int, base_columns: int,
    table: NDArray[np.int32], inputs: NDArray[np.int32],
) -> None:  # fmt: skip
    """Fill the inputs for the coefficient at (y, x) of a band."""
    own = known[level, band]
    row, column = y + PAD, x + PAD
    west, north = wide(own[row, column - 1]), wide(own[row - 1, column])
    north_west, north_east = wide(own[row - 1, column - 1]), wide(own[row - 1, column + 1])
    west2, north2 = wide(own[row, column - 2]), wide(own[row - 2, column])
    inputs[0], inputs[1] = _log(table, west), _log(table, north)
    inputs[2], inputs[3] = _log(table, north_west), _log(table, north_east)
    inputs[4], inputs[5] = _log(table, west2), _log(table, north2)
    inputs[6] = _log(table, 2 * (west + north) + north_west + north_east + west2 + north2)
    inputs[7] = 0
    inputs[8] = 0
    if level > 0:
        parent = known[level - 1, band]
        up, left = y // 2 + PAD, x // 2 + PAD
        inputs[7] = _log(table, wide(parent[up, left]))
        around = wide(parent[up - 1, left]) + parent[up + 1, left] + parent[up, left - 1] + parent[up, left + 1]
        corners = wide(parent[up - 1, left - 1]) + parent[up + 1, left + 1]
        corners += wide(parent[up + 1, left - 1]) + parent[up - 1, left + 1]
        inputs[8] = _log(table, 2 * around + corners)
    for sister in range(2):
        inputs[9 + 2 * sister] = 0
        inputs[10 + 2 * sister] = 0
        if sister < band:
            other = known[level, sister]
            inputs[9 + 2 * sister] = _log(table, wide(other[row, column]))
            inputs[10 + 2 * sister] = _log(
                table,
                wide(other[row - 1, column]) + other[row + 1, column] + other[row, column - 1] + other[row, column + 1],
            )
    rows, columns = base_rows << level, base_columns << level
    down, right = (2 * y + 1 - rows) * 64 // rows, (2 * x + 1 - columns) * 64 // columns  # -64 to 63
    inputs[13] = abs(down)
    inputs[14] = abs(right)
    inputs[15] = (down * down + right * right) >> 6
    inputs[16] = step
    inputs[17] = 0
    if level > 1:
        inputs[17] = _log(table, wide(known[level - 2, band][y // 4 + PAD, x // 4 + PAD]))


@inlined
def _odds(inputs: NDArray[np.int32], band: int, net: Odds, hidden: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    units = net.bias.shape[1]
    for unit in range(units):
        hidden[unit] = net.bias[band, unit]
    for k in range(INPUTS):
        known = inputs[k]
        if known != 0:  # most neighbours of most coefficients are
            for unit in range(units):
                hidden[unit] += known * net.first[k, unit]
    for k in range(OUTPUTS):
        out[k] = wide(net.offset[band, k]) << WEIGHT_BITS
    for unit in range(units):
        if hidden[unit] > 0:
            total = wide(hidden[unit]) >> FIRST_BITS
            for k in range(OUTPUTS):
                out[k] += total * net.second[k, unit]
    for k in range(OUTPUTS):
        logit = min(max(out[k] >> WEIGHT_BITS, -LOGIT_LIMIT), LOGIT_LIMIT)
        out[k] = wide(net.squash[logit + LOGIT_LIMIT + 1])


@inlined
def _cost(magnitude: int, odds: NDArray[np.int64], bits: NDArray[np.float32]) -> float:
    if magnitude == 0:
        return float(bits[(65536 - odds[0]) >> 4])
    cost = 1.0 + float(bits[odds[0] >> 4])
    if magnitude == 1:
        return cost + float(bits[(65536 - odds[1]) >> 4])
    cost += float(bits[odds[1] >> 4]) + float(bits[(65536 - odds[2]) >> 4])
    return cost + (magnitude - 2) * float(bits[odds[2] >> 4])


@inlined
def _choose(ratio: float, odds: NDArray[np.int64], trial: Trial) -> int:
    """The magnitude whose error and bits are cheapest together."""
    best, chosen = 1e30, 0
    nearest = int(ratio + 0.5)
    for magnitude in range(max(nearest - 2, 0), nearest + 1):
        middle = magnitude + trial.centres[min(magnitude, 3) - 1] if magnitude else 0.0
        price = (ratio - middle) ** 2 + trial.weight * _cost(magnitude, odds, trial.bits)
        if price < best:
            best, chosen = price, magnitude
    return chosen


@inlined
def _gamma(buffer: NDArray[np.uint8], registers: NDArray[np.int64], value: int) -> int:
    """Elias gamma code of a value from 0, without a model."""
    length = 0
    while length < 20 and code(buffer, registers, 32768, 1 if (value + 1) >> (length + 1) else 0):
        length += 1
    out = 1
    for place in range(length - 1, -1, -1):
        out = 2 * out + code(buffer, registers, 32768, ((value + 1) >> place) & 1)
    return out - 1


@inlined
def _magnitude(buffer: NDArray[np.uint8], registers: NDArray[np.int64], odds: NDArray[np.int64], value: int) -> int:
    reached = 0
    while reached < UNARY_LIMIT:
        if code(buffer, registers, odds[min(reached, 2)], 1 if value > reached else 0) == 0:
            return reached
        reached += 1
    return reached + _gamma(buffer, registers, value - reached)


@compiled
def code_low(
    buffer: NDArray[np.uint8], registers: NDArray[np.int64], low: NDArray[np.int32], columns: int, fineness: int,
    net: Odds,
) -> None:  # fmt: skip
    """Code or decode the coefficients of the LL (flat, `columns` a row) in `low`: length in bits, then bits, then sign.

    fineness : step index, plus as much as the picture's side adds to its coefficients.
    """
    for k in range(low.shape[0]):
        value = abs(wide(low[k]))
        usual = wide(net.low_scale[k // columns, k % columns]) + fineness
        bucket = min(max(usual >> 2, 0), LL_BUCKETS - 1)
        length = 0
        while length < LL_LENGTHS and code(
            buffer, registers, wide(net.low_odds[bucket, length]), 1 if value >> length else 0
        ):
            length += 1
        out = 1 if length else 0
        for place in range(length - 2, -1, -1):
            out = 2 * out + code(buffer, registers, 32768, (value >> place) & 1)
        if out and code(buffer, registers, 32768, 1 if low[k] < 0 else 0):
            out = -out
        low[k] = out


@compiled
def code_bands(
    buffer: NDArray[np.uint8], registers: NDArray[np.int64], signed: NDArray[np.int32], base_rows: int,
    base_columns: int, levels: int, step: int, net: Odds, trial: Trial, seen: NDArray[np.int16],
) -> int:  # fmt: skip
    """Code or decode the bands of `levels` sizes in `signed` (levels, 3, rows, columns); gives how many are not zero.

    When encoding with a trial weight, magnitudes are chosen anew from trial.ratio and written to `signed`. For
    training, `seen`, where it has rows, receives the inputs of each coefficient, its band and its magnitude.
    """
    known = np.zeros((signed.shape[0], 3, signed.shape[2] + 2 * PAD, signed.shape[3] + 2 * PAD), np.int32)
    inputs, hidden, odds = (
        np.zeros(INPUTS, np.int32),
        np.zeros(net.bias.shape[1], np.int32),
        np.zeros(OUTPUTS, np.int64),
    )
    count, row = 0, 0
    for level in range(levels):
        for band in range(3):
            for y in range(base_rows << level):
                for x in range(base_columns << level):
                    _look(known, level, band, y, x, step, base_rows, base_columns, net.logarithm, inputs)
                    _odds(inputs, 3 * level + band, net, hidden, odds)
                    value = wide(signed[level, band, y, x])
                    negative = 1 if value < 0 else 0
                    value = abs(value)
                    if registers[5] == 0 and trial.weight > 0:
                        value = _choose(trial.ratio[level, band, y, x], odds, trial)
                    value = _magnitude(buffer, registers, odds, value)
                    if value:
                        negative = code(buffer, registers, 32768, negative)
                        count += 1
                    known[level, band, y + PAD, x + PAD] = value
                    signed[level, band, y, x] = -value if negative else value
                    if row < seen.shape[0]:
                        for k in range(INPUTS):
                            seen[row, k] = inputs[k]
                        seen[row, INPUTS] = 3 * level + band
                        seen[row, INPUTS + 1] = min(value, 32767)
                        row += 1
    return count
