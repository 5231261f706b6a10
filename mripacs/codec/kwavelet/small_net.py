"""The net of the `small` coder, one for each orientation, as integers: what it holds and how it is run.

Three layers: HIDDEN and SECOND units with activations clipped to 0 ... LARGEST_ACTIVATION, then a logit for each of
the OUTPUTS decisions. All numbers are integers held in float32, and all sums stay below 2^24: additions are exact, so
their order, fused multiplications, vector units and BLAS kernels cannot change a result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.small_shapes import (
    EXACT_SUM,
    FIRST_SHIFT,
    HIDDEN,
    LARGEST_ACTIVATION,
    LARGEST_INPUT,
    NEAR,
    NEAR_LIMIT,
    NEAR_VALUES,
    PADDED_OUTPUTS,
    SECOND,
    SECOND_SHIFT,
    UNIT,
)
from mripacs.core.errors import CodecError
from mripacs.core.jit import inlined

FIRST_SCALE = np.float32(2.0**-FIRST_SHIFT)
SECOND_SCALE = np.float32(2.0**-SECOND_SHIFT)
ZERO, FULL = np.float32(0), np.float32(LARGEST_ACTIVATION)


class Weights(NamedTuple):
    """A net as it is stored: int16, 8 fractional bits."""

    outside: NDArray[np.int16]  # (outside_inputs, HIDDEN)
    near: NDArray[np.int16]  # (3, 10, HIDDEN): of the signed value, its magnitude (both compressed), of not being zero
    windows: NDArray[np.int16]  # (WINDOWS, HIDDEN)
    band: NDArray[np.int16]  # (BAND_INPUTS, HIDDEN): level one-hot, activity
    first_bias: NDArray[np.int32]  # (HIDDEN,) in sums
    second: NDArray[np.int16]  # (HIDDEN, SECOND)
    second_bias: NDArray[np.int32]  # (SECOND,) in sums
    last: NDArray[np.int16]  # (SECOND, OUTPUTS)
    last_bias: NDArray[np.int32]  # (OUTPUTS,) in sums


class Net(NamedTuple):
    """A net ready to run; float32 that holds integers."""

    outside: NDArray[np.float32]  # (outside_inputs, HIDDEN)
    near: NDArray[np.float32]  # (10, NEAR_VALUES, HIDDEN) by value
    windows: NDArray[np.float32]  # (WINDOWS, LARGEST_INPUT + 1, HIDDEN) by compressed sum
    band: NDArray[np.float32]  # (BAND_INPUTS, HIDDEN)
    first_bias: NDArray[np.float32]
    second: NDArray[np.float32]
    second_bias: NDArray[np.float32]
    last: NDArray[np.float32]  # (SECOND, PADDED_OUTPUTS)
    last_bias: NDArray[np.float32]


def ready(weights: Weights, compressed: NDArray[np.int16]) -> Net:
    """The net of stored weights. Raises CodecError for weights whose sums might not be exact."""
    near = _by_value(weights.near.astype(np.int64), compressed.astype(np.int64))
    windows = weights.windows.astype(np.int64)[:, None, :] * np.arange(LARGEST_INPUT + 1)[None, :, None]
    first = LARGEST_INPUT * (_reach(weights.outside) + _reach(weights.band)) + np.abs(weights.first_bias)
    first = first + np.abs(near).max(axis=1).sum(axis=0) + np.abs(windows).max(axis=1).sum(axis=0)
    second = LARGEST_ACTIVATION * _reach(weights.second) + np.abs(weights.second_bias)
    last = LARGEST_ACTIVATION * _reach(weights.last) + np.abs(weights.last_bias)
    if max(first.max(), second.max(), last.max()) >= EXACT_SUM:
        raise CodecError("weights of the net are too large for exact sums")
    missing = PADDED_OUTPUTS - weights.last.shape[1]
    padded = np.pad(weights.last, ((0, 0), (0, missing))), np.pad(weights.last_bias, (0, missing))
    inner = weights.outside, near, windows, weights.band, weights.first_bias, weights.second, weights.second_bias
    return Net(*(np.ascontiguousarray(array, np.float32) for array in (*inner, *padded)))


def _reach(weights: NDArray[np.int16]) -> NDArray[np.int64]:
    """Largest sum of a unit's weights under inputs of +-1."""
    reach: NDArray[np.int64] = np.abs(weights.astype(np.int64)).sum(axis=0)
    return reach


def _by_value(weights: NDArray[np.int64], compressed: NDArray[np.int64]) -> NDArray[np.int64]:
    """What each near coefficient adds to the first layer, for each value from -NEAR_LIMIT to NEAR_LIMIT."""
    value = np.arange(-NEAR_LIMIT, NEAR_LIMIT + 1)
    size = compressed[UNIT * np.abs(value)]
    inputs = np.stack([np.sign(value) * size, size, UNIT * (value != 0)])
    table: NDArray[np.int64] = np.einsum("fv,fkh->kvh", inputs, weights)
    return table.reshape(len(NEAR), NEAR_VALUES, HIDDEN)


def band_terms(net: Net, level: int, activity: int) -> NDArray[np.float32]:
    """The first layer's sums (HIDDEN,) before any input of a place: bias, level (1 to 6), activity (compressed)."""
    terms: NDArray[np.float32] = net.first_bias + UNIT * net.band[level - 1] + activity * net.band[-1]
    return terms


@inlined
def run(net: Net, sums: NDArray[np.float32], second: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
    """From the first layer's `sums` (overwritten) to the last layer's sums, `logits` (PADDED_OUTPUTS,)."""
    _activate(sums, HIDDEN, FIRST_SCALE)
    _layer(sums, HIDDEN, net.second, net.second_bias, second, SECOND)
    _activate(second, SECOND, SECOND_SCALE)
    _layer(second, SECOND, net.last, net.last_bias, logits, PADDED_OUTPUTS)


@inlined
def _activate(sums: NDArray[np.float32], units: int, scale: np.float32) -> None:
    """Sums of a layer to its activations, in place."""
    for unit in range(units):
        sums[unit] = np.floor(min(max(sums[unit] * scale, ZERO), FULL))


@inlined
def _layer(
    inputs: NDArray[np.float32],
    count: int,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    sums: NDArray[np.float32],
    units: int,
) -> None:
    """Sums of `units` over `count` activations, four of these at a time."""
    for unit in range(units):
        sums[unit] = bias[unit]
    for k in range(0, count, 4):
        a, b, c, d = inputs[k], inputs[k + 1], inputs[k + 2], inputs[k + 3]
        for unit in range(units):
            upper = a * weights[k, unit] + b * weights[k + 1, unit]
            sums[unit] += upper + c * weights[k + 2, unit] + d * weights[k + 3, unit]
