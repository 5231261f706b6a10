"""The compiled inner loop: one detail band, coefficient by coefficient, encoder and decoder in one.

A magnitude is coded in unary up to UNARY, then as an Elias gamma number; the sign follows. Each decision mixes slots
chosen by neighbours coded before and the side maps. Two trained linear forms over all of these give logits (that the
coefficient is not zero, that it is positive) which choose slots and are mixed in themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.mixing import Machine, code_raw, decide
from mripacs.codec.kwavelet.shapes import (
    ESCAPE_SET,
    ESCAPE_START,
    EXPECTED_LEVELS,
    EXPECTED_POSITIONS,
    EXPECTED_SET,
    FEATURES,
    GAMMA_BITS,
    LARGEST,
    MAGNITUDE_INPUTS,
    MAGNITUDE_STARTS,
    NO_SET,
    SIGN_EXPECTED_SET,
    SIGN_INPUTS,
    SIGN_SET,
    SIGN_STARTS,
    UNARY,
)
from mripacs.codec.kwavelet.side import CLIPPED_STEPS, WEIGHT_BITS
from mripacs.core.jit import compiled, inlined, wide

# The size logit in levels of 0.5, from -8 on.
EXPECTED_LOWEST, EXPECTED_SHIFT = 8 << 8, 7
BORDER = 3  # zeros around the band, so that neighbours need no tests
(AT_EXPECTED, AT_NEAR, AT_WIDE, AT_EACH, AT_LEAN, AT_ACTIVITY, AT_FAR, AT_BELOW) = MAGNITUDE_STARTS[:-1]
(AT_SIGN_CLASS, AT_SIGN_EXPECTED, AT_SIGN_NEIGHBOURS, AT_SIGN_BOTH) = SIGN_STARTS[:-1]


class BandModel(NamedTuple):
    """What is constant while a band is coded."""

    orientation: int
    level_class: int  # 0 for the finest level, up to 3
    parent: NDArray[np.int32]  # (rows, columns) parent energy
    sisters: NDArray[np.int32]  # (rows, columns) sister energy
    activity: NDArray[np.int32]  # (rows, columns) low-pass activity, half steps
    lean: NDArray[np.int64]  # (rows, columns) logit of being positive, 8 fractional bits
    size: NDArray[np.int64]  # (rows, columns) logit of not being zero, the low-pass patch's share
    lean_neighbours: NDArray[np.int32]  # (NEIGHBOURS,) weights of coded neighbours in the lean
    size_features: NDArray[np.int32]  # (FEATURES,) weights of the features' logarithms in the size logit
    logarithm: NDArray[np.int32]  # (LARGEST + 1,) 64 * log2(1 + 2 v)
    log_level: NDArray[np.int32]  # (LARGEST + 1,) about two levels an octave
    features: NDArray[np.int64]  # (FEATURES,) scratch


@compiled
def code_band(machine: Machine, model: BandModel, indices: NDArray[np.int32]) -> None:
    """Code the band (rows, columns) in raster order; fills `indices` when decoding."""
    rows, columns = indices.shape
    plane = np.zeros((rows + BORDER, columns + 2 * BORDER), np.int64)
    above = np.zeros(columns + 2 * BORDER, np.int64)  # magnitudes of the three rows above, summed by column
    for i in range(rows):
        left = 0
        window = 0
        for j in range(2 * BORDER):
            window += above[j]
        for j in range(columns):
            window += above[j + 2 * BORDER]
            value = _code_index(machine, model, plane, i, j, min(window + left, LARGEST), wide(indices[i, j]))
            window -= above[j]
            plane[i + BORDER, j + BORDER] = value
            left += abs(value) - abs(plane[i + BORDER, j])
            indices[i, j] = value
        for j in range(columns + 2 * BORDER):
            above[j] += abs(plane[i + BORDER, j]) - abs(plane[i, j])


@inlined
def _code_index(
    machine: Machine, model: BandModel, plane: NDArray[np.int64], i: int, j: int, window: int, value: int
) -> int:
    y, x = i + BORDER, j + BORDER
    west, north = plane[y, x - 1], plane[y - 1, x]
    north_west, north_east = plane[y - 1, x - 1], plane[y - 1, x + 1]
    west_west, north_north = plane[y, x - 2], plane[y - 2, x]
    weights = model.lean_neighbours
    lean = _clip(west) * wide(weights[0]) + _clip(north) * wide(weights[1]) + _clip(north_west) * wide(weights[2])
    lean += (
        _clip(north_east) * wide(weights[3])
        + _clip(west_west) * wide(weights[4])
        + _clip(north_north) * wide(weights[5])
    )
    lean = model.lean[i, j] + (lean >> (WEIGHT_BITS - 8))
    features = model.features
    features[0], features[1], features[2] = abs(west), abs(north), abs(north_west)
    features[3], features[4], features[5] = abs(north_east), abs(west_west), abs(north_north)
    features[6], features[7], features[8] = window, model.parent[i, j], model.sisters[i, j]
    features[9] = model.activity[i, j]
    size = model.size[i, j] + _feature_size(model, features)
    expected = min(max((size + EXPECTED_LOWEST) >> EXPECTED_SHIFT, 0), EXPECTED_LEVELS - 1)
    _magnitude_contexts(machine, model, features, min(abs(lean), 1 << 12), expected)
    magnitude = _code_magnitude(machine, model, abs(value), size, expected)
    if magnitude == 0:
        return 0
    _sign_contexts(machine, model, west, north, lean, expected)
    weight_set = SIGN_SET + 4 * model.orientation + model.level_class
    bit = decide(machine, SIGN_INPUTS, lean, weight_set, SIGN_EXPECTED_SET + expected, 1 if value > 0 else 0)
    return magnitude if bit == 1 else -magnitude


@inlined
def _clip(index: int) -> int:
    return min(max(index, -CLIPPED_STEPS), CLIPPED_STEPS)


@inlined
def _feature_size(model: BandModel, features: NDArray[np.int64]) -> int:
    """The features' share of the size logit, 8 fractional bits."""
    total = wide(model.size_features[FEATURES - 1]) << 6
    for k in range(FEATURES - 1):
        features[k] = min(features[k], LARGEST)
        total += wide(model.logarithm[features[k]]) * model.size_features[k]
    return total >> (WEIGHT_BITS + 6 - 8)


@inlined
def _magnitude_contexts(
    machine: Machine, model: BandModel, features: NDArray[np.int64], lean: int, expected: int
) -> None:
    """Point the inputs at each context's first slot."""
    o, level, log = model.orientation, model.level_class, model.log_level
    near = log[min(2 * (features[0] + features[1]) + features[2] + features[3], LARGEST)]
    far = log[min(features[4] + features[5], LARGEST)]
    wide, parent, sisters, active = log[features[6]], log[features[7]], log[features[8]], log[features[9]]
    around = log[min(features[7] + 2 * features[8], LARGEST)]
    leaning = log[min(lean >> 5, LARGEST)]
    each = ((min(features[0], 3) * 4 + min(features[1], 3)) * 3 + min(features[2], 2)) * 3 + min(features[3], 2)
    coarse = expected >> 1
    inputs = machine.inputs
    inputs[1] = AT_EXPECTED + UNARY * (expected * 12 + 4 * o + level)
    inputs[2] = AT_NEAR + UNARY * ((near * 12 + parent) * 3 + o)
    inputs[3] = AT_WIDE + UNARY * ((wide * 12 + sisters) * 3 + o)
    inputs[4] = AT_EACH + UNARY * (each * 3 + o)
    inputs[5] = AT_LEAN + UNARY * ((leaning * 16 + coarse) * 3 + o)
    inputs[6] = AT_ACTIVITY + UNARY * ((active * 16 + coarse) * 3 + o)
    inputs[7] = AT_FAR + UNARY * ((far * 12 + wide) * 4 + level)
    inputs[8] = AT_BELOW + UNARY * ((active * 12 + around) * 3 + o)


@inlined
def _code_magnitude(machine: Machine, model: BandModel, magnitude: int, size: int, expected: int) -> int:
    weight_set = (4 * model.orientation + model.level_class) * UNARY
    for position in range(UNARY):
        other_set = EXPECTED_SET + EXPECTED_POSITIONS * expected + min(position, EXPECTED_POSITIONS - 1)
        bit = 1 if magnitude > position else 0
        if decide(machine, MAGNITUDE_INPUTS, size, weight_set + position, other_set, bit) == 0:
            return position
        for k in range(1, MAGNITUDE_INPUTS):
            machine.inputs[k] += 1
    return UNARY - 1 + _code_gamma(machine, magnitude - UNARY + 1)


@compiled
def _code_gamma(machine: Machine, value: int) -> int:
    """Elias gamma code of value >= 1: its bit length less one in unary, then the bits below the leading one."""
    extra = 0
    while extra < GAMMA_BITS - 1:
        machine.inputs[1] = ESCAPE_START + extra
        if decide(machine, 2, 0, ESCAPE_SET, NO_SET, 1 if (value >> (extra + 1)) > 0 else 0) == 0:
            break
        extra += 1
    return (1 << extra) | code_raw(machine, extra, value & ((1 << extra) - 1))


@inlined
def _sign_contexts(machine: Machine, model: BandModel, west: int, north: int, lean: int, expected: int) -> None:
    leaning = 16 + (min(max(lean, -1024), 1024) + 32 >> 6)
    around = 3 * _ternary(west) + _ternary(north)
    band = 4 * model.orientation + model.level_class
    inputs = machine.inputs
    inputs[1] = AT_SIGN_CLASS + leaning * 12 + band
    inputs[2] = AT_SIGN_EXPECTED + leaning * 16 + (expected >> 1)
    inputs[3] = AT_SIGN_NEIGHBOURS + around * 12 + band
    inputs[4] = AT_SIGN_BOTH + leaning * 9 + around


@inlined
def _ternary(value: int) -> int:
    return 0 if value == 0 else (1 if value > 0 else 2)
