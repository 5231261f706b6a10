"""The compiled inner loop: one detail band, coefficient by coefficient, encoder and decoder in one.

A magnitude is coded in unary up to UNARY, then as an Elias gamma number; the sign follows. Each decision mixes slots
chosen by neighbours coded before, the side maps, and the magnitude that a trained linear form expects from them all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mripacs.codec.kwavelet.mixing import Machine, code_raw, decide
from mripacs.codec.kwavelet.shapes import (
    ESCAPE_SET,
    ESCAPE_START,
    FEATURES,
    GAMMA_BITS,
    MAGNITUDE_INPUTS,
    MAGNITUDE_STARTS,
    SIGN_INPUTS,
    SIGN_SET,
    SIGN_STARTS,
    UNARY,
)

BORDER = 3  # zeros around the band, so that neighbours need no tests
LARGEST = 1 << 10  # sums of magnitudes are clamped here before they choose a context
(AT_EXPECTED, AT_NEAR, AT_WIDE, AT_EACH, AT_PREDICTION, AT_ACTIVITY, AT_FAR, AT_BELOW) = MAGNITUDE_STARTS[:-1]
(AT_SIGN_CLASS, AT_SIGN_EXPECTED, AT_SIGN_NEIGHBOURS, AT_SIGN_BOTH) = SIGN_STARTS[:-1]


class BandModel(NamedTuple):
    """What is constant while a band is coded."""

    orientation: int
    level_class: int  # 0 for the finest level, up to 3
    parent: NDArray[np.int32]  # (rows, columns) parent energy
    sisters: NDArray[np.int32]  # (rows, columns) sister energy
    activity: NDArray[np.int32]  # (rows, columns) low-pass activity, 1/16 step
    prediction: NDArray[np.int64]  # (rows, columns) predicted index, 1/256
    neighbours: NDArray[np.int32]  # (NEIGHBOURS,) weights of coded neighbours in the prediction
    expected: NDArray[np.int32]  # (FEATURES,) weights of the expected magnitude
    expected_level: NDArray[np.int32]  # (4096,) level of an expected magnitude in 1/64
    log_level: NDArray[np.int32]  # (LARGEST + 1,) about two levels an octave
    features: NDArray[np.int64]  # (FEATURES,) scratch


@njit(cache=True)
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
            value = _code_index(machine, model, plane, i, j, min(window + left, LARGEST), np.int64(indices[i, j]))
            window -= above[j]
            plane[i + BORDER, j + BORDER] = value
            left += abs(value) - abs(plane[i + BORDER, j])
            indices[i, j] = value
        for j in range(columns + 2 * BORDER):
            above[j] += abs(plane[i + BORDER, j]) - abs(plane[i, j])


@njit(cache=True)
def _code_index(
    machine: Machine, model: BandModel, plane: NDArray[np.int64], i: int, j: int, window: int, value: int
) -> int:
    y, x = i + BORDER, j + BORDER
    west, north = plane[y, x - 1], plane[y - 1, x]
    north_west, north_east = plane[y - 1, x - 1], plane[y - 1, x + 1]
    west_west, north_north = plane[y, x - 2], plane[y - 2, x]
    weights = model.neighbours
    prediction = model.prediction[i, j] + west * weights[0] + north * weights[1] + north_west * weights[2]
    prediction += north_east * weights[3] + west_west * weights[4] + north_north * weights[5]
    features = model.features
    features[0], features[1], features[2] = abs(west), abs(north), abs(north_west)
    features[3], features[4], features[5] = abs(north_east), abs(west_west), abs(north_north)
    features[6], features[7], features[8] = window, model.parent[i, j], model.sisters[i, j]
    expected = _expected_level(model, features, model.activity[i, j], min(abs(prediction), 1 << 16))
    _magnitude_contexts(machine, model, features, model.activity[i, j], min(abs(prediction), 1 << 16), expected)
    magnitude = _code_magnitude(machine, model, abs(value))
    if magnitude == 0:
        return 0
    _sign_contexts(machine, model, west, north, prediction, expected)
    weight_set = SIGN_SET + 4 * model.orientation + model.level_class
    return magnitude if decide(machine, SIGN_INPUTS, weight_set, 1 if value > 0 else 0) == 1 else -magnitude


@njit(cache=True)
def _expected_level(model: BandModel, features: NDArray[np.int64], activity: int, prediction: int) -> int:
    """Level of the expected magnitude; features count in 1/16, weights have 12 fractional bits."""
    total = np.int64(model.expected[11]) * 16
    for k in range(9):
        total += min(features[k], 1 << 16) * model.expected[k] * 16
    total += activity * model.expected[9] + (prediction >> 4) * model.expected[10]
    return model.expected_level[min(max(total >> 10, 0), 4095)]


@njit(cache=True)
def _magnitude_contexts(
    machine: Machine, model: BandModel, features: NDArray[np.int64], activity: int, prediction: int, expected: int
) -> None:
    """Point the inputs at each context's first slot."""
    o, level, log = model.orientation, model.level_class, model.log_level
    near = log[min(2 * (features[0] + features[1]) + features[2] + features[3], LARGEST)]
    far = log[min(features[4] + features[5], LARGEST)]
    wide = log[min(features[6], LARGEST)]
    parent = log[min(features[7], LARGEST)]
    sisters = log[min(features[8], LARGEST)]
    below = log[min(features[7] + 2 * features[8], LARGEST)]
    active = log[min(activity >> 2, LARGEST)]
    predicted = log[min(prediction >> 4, LARGEST)]
    each = ((min(features[0], 3) * 4 + min(features[1], 3)) * 3 + min(features[2], 2)) * 3 + min(features[3], 2)
    coarse = expected >> 1
    inputs = machine.inputs
    inputs[0] = AT_EXPECTED + UNARY * (expected * 12 + 4 * o + level)
    inputs[1] = AT_NEAR + UNARY * ((near * 12 + parent) * 3 + o)
    inputs[2] = AT_WIDE + UNARY * ((wide * 12 + sisters) * 3 + o)
    inputs[3] = AT_EACH + UNARY * (each * 3 + o)
    inputs[4] = AT_PREDICTION + UNARY * ((predicted * 12 + coarse) * 3 + o)
    inputs[5] = AT_ACTIVITY + UNARY * ((active * 12 + coarse) * 3 + o)
    inputs[6] = AT_FAR + UNARY * ((far * 12 + wide) * 4 + level)
    inputs[7] = AT_BELOW + UNARY * ((active * 12 + below) * 3 + o)


@njit(cache=True)
def _code_magnitude(machine: Machine, model: BandModel, magnitude: int) -> int:
    weight_set = (4 * model.orientation + model.level_class) * UNARY
    for position in range(UNARY):
        if decide(machine, MAGNITUDE_INPUTS, weight_set + position, 1 if magnitude > position else 0) == 0:
            return position
        for k in range(MAGNITUDE_INPUTS):
            machine.inputs[k] += 1
    return UNARY - 1 + _code_gamma(machine, magnitude - UNARY + 1)


@njit(cache=True)
def _code_gamma(machine: Machine, value: int) -> int:
    """Elias gamma code of value >= 1: its bit length less one in unary, then the bits below the leading one."""
    extra = 0
    while extra < GAMMA_BITS - 1:
        machine.inputs[0] = ESCAPE_START + extra
        if decide(machine, 1, ESCAPE_SET, 1 if (value >> (extra + 1)) > 0 else 0) == 0:
            break
        extra += 1
    return (1 << extra) | code_raw(machine, extra, value & ((1 << extra) - 1))


@njit(cache=True)
def _sign_contexts(
    machine: Machine, model: BandModel, west: int, north: int, prediction: int, expected: int
) -> None:
    size = min(16, (min(abs(prediction), 1 << 12) + 8) >> 4)
    predicted = 16 + size if prediction >= 0 else 16 - size
    around = 3 * _ternary(west) + _ternary(north)
    band = 4 * model.orientation + model.level_class
    inputs = machine.inputs
    inputs[0] = AT_SIGN_CLASS + predicted * 12 + band
    inputs[1] = AT_SIGN_EXPECTED + predicted * 12 + (expected >> 1)
    inputs[2] = AT_SIGN_NEIGHBOURS + around * 12 + band
    inputs[3] = AT_SIGN_BOTH + predicted * 9 + around


@njit(cache=True)
def _ternary(value: int) -> int:
    return 0 if value == 0 else (1 if value > 0 else 2)
