"""The compiled inner loop of the `small` coder: rows of one detail band, encoder and decoder in one.

A magnitude is coded in unary up to UNARY, then as an Elias gamma number; the sign follows. The net's logit of each
decision is mixed with adaptive probabilities that start almost cold: the net knows what images are like, they learn
what this one is like.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.mixing import LOGIT_LIMIT, Machine, code_raw, decide
from mripacs.codec.kwavelet.small_inputs import compress
from mripacs.codec.kwavelet.small_net import Net, run
from mripacs.codec.kwavelet.small_shapes import (
    BUCKET_SET,
    BUCKETS,
    COARSE_BUCKETS,
    ESCAPE_SET,
    ESCAPE_START,
    ESCAPES,
    FIRST_PREFIX,
    HIDDEN,
    LEVEL_CLASSES,
    LOG_LEVELS,
    LOGIT_SHIFT,
    MAGNITUDE_MIXED,
    MAGNITUDE_STARTS,
    MIXED_POSITIONS,
    NEAR_LIMIT,
    NO_SET,
    PADDED_OUTPUTS,
    PREFIXES,
    QUIET_SET,
    QUIET_START,
    SIGN,
    SIGN_BUCKET_SET,
    SIGN_MIXED,
    SIGN_SET,
    SIGN_STARTS,
    UNARY,
    UNIT,
)
from mripacs.core.jit import compiled, inlined, wide

ABOVE, BESIDE = 5, 6  # margins of the plane of coded indices: rows above, columns on either side
LARGEST_SUM = (1 << 10) - 1  # sums of magnitudes are clamped here before they choose a context
AT_NET, AT_NEAR, AT_PARENT, AT_SISTERS, AT_EACH = MAGNITUDE_STARTS[:-1]
AT_SIGN_NET, AT_SIGN_NEAR = SIGN_STARTS[:-1]


class BandState(NamedTuple):
    """What coding a band needs beside the machine; `plane` holds what was coded so far."""

    orientation: int
    level_class: int  # 0 for the finest level, up to 3
    net: Net
    compressed: NDArray[np.int16]
    log_level: NDArray[np.int32]  # (LARGEST_SUM + 1,)
    parent_sums: NDArray[np.int32]  # 5 x 5
    sister_sums: NDArray[np.int32]  # (orientation, rows, columns), 7 x 7
    plane: NDArray[np.int32]  # (rows + ABOVE, columns + 2 * BESIDE)
    sums: NDArray[np.float32]  # (HIDDEN,) scratch
    second: NDArray[np.float32]  # (SECOND,) scratch
    logits: NDArray[np.float32]  # (PADDED_OUTPUTS,) scratch


@compiled
def code_rows(
    machine: Machine,
    state: BandState,
    outside: NDArray[np.float32],
    quiet: NDArray[np.bool_],
    first: int,
    indices: NDArray[np.int32],
) -> None:
    """Code rows `first` ... of the band, as many as `indices` has; fills `indices` when decoding.

    outside : float32 (places, HIDDEN), sums of the first layer over the outside inputs and the band's.
    quiet : bool (places,), where the surroundings are all but empty.
    """
    rows, columns = indices.shape
    plane = state.plane
    inner = np.zeros(columns + 2 * BESIDE, np.int64)  # magnitudes of three rows above, summed by column
    outer = np.zeros(columns + 2 * BESIDE, np.int64)  # of five rows above
    for i in range(first, first + rows):
        for j in range(columns + 2 * BESIDE):
            inner[j] = abs(wide(plane[i + 2, j])) + abs(plane[i + 3, j]) + abs(plane[i + 4, j])
            outer[j] = inner[j] + abs(wide(plane[i, j])) + abs(plane[i + 1, j])
        near_sum, wide_sum, left, far_left = wide(0), wide(0), wide(0), wide(0)
        for j in range(3, 9):
            near_sum += inner[j]
        for j in range(2 * BESIDE):
            wide_sum += outer[j]
        for j in range(columns):
            near_sum += inner[j + 9]
            wide_sum += outer[j + 12]
            place = (i - first) * columns + j
            window, wider = near_sum + left, wide_sum + far_left
            if quiet[place] and wider == 0:
                value = _code_quiet(machine, state, wide(indices[i - first, j]))
            else:
                value = _code_index(machine, state, outside, place, i, j, window, wider, wide(indices[i - first, j]))
            indices[i - first, j] = value
            plane[i + ABOVE, j + BESIDE] = value
            near_sum -= inner[j + 3]
            wide_sum -= outer[j]
            left += abs(value) - abs(wide(plane[i + ABOVE, j + BESIDE - 3]))
            far_left += abs(value) - abs(wide(plane[i + ABOVE, j + BESIDE - 6]))


@inlined
def _code_index(
    machine: Machine,
    state: BandState,
    outside: NDArray[np.float32],
    place: int,
    i: int,
    j: int,
    window: int,
    wider: int,
    value: int,
) -> int:
    sum_first(state, outside, place, i + ABOVE, j + BESIDE, window, wider)
    run(state.net, state.sums, state.second, state.logits)
    plane, y, x = state.plane, i + ABOVE, j + BESIDE
    west, north = wide(plane[y, x - 1]), wide(plane[y - 1, x])
    near = _magnitude_contexts(machine, state, i, j, west, north, window)
    magnitude = _code_magnitude(machine, state, near, abs(value))
    if magnitude == 0:
        return 0
    logit = logit_of(state.logits, SIGN)
    group = LEVEL_CLASSES * state.orientation + state.level_class
    machine.inputs[1] = AT_SIGN_NET + group * BUCKETS + _bucket(logit)
    machine.inputs[2] = AT_SIGN_NEAR + group * 9 + 3 * _ternary(west) + _ternary(north)
    other_set = SIGN_BUCKET_SET + (_bucket(logit) >> 1)
    bit = decide(machine, SIGN_MIXED, logit, SIGN_SET + group, other_set, 1 if value > 0 else 0)
    return magnitude if bit == 1 else -magnitude


@inlined
def sum_first(
    state: BandState, outside: NDArray[np.float32], place: int, y: int, x: int, window: int, wider: int
) -> None:
    """The first layer's sums of a place: outside inputs, windows, and the near coefficients that are not zero."""
    sums, net, plane = state.sums, state.net, state.plane
    inner = compress(state.compressed, UNIT * window)
    outer = compress(state.compressed, UNIT * wider)
    for unit in range(HIDDEN):
        sums[unit] = outside[place, unit] + net.windows[0, inner, unit] + net.windows[1, outer, unit]
    _add_near(net, sums, 0, wide(plane[y, x - 1]))
    _add_near(net, sums, 1, wide(plane[y, x - 2]))
    _add_near(net, sums, 2, wide(plane[y - 1, x]))
    _add_near(net, sums, 3, wide(plane[y - 2, x]))
    _add_near(net, sums, 4, wide(plane[y - 1, x - 1]))
    _add_near(net, sums, 5, wide(plane[y - 1, x + 1]))
    _add_near(net, sums, 6, wide(plane[y - 2, x - 1]))
    _add_near(net, sums, 7, wide(plane[y - 2, x + 1]))
    _add_near(net, sums, 8, wide(plane[y - 1, x - 2]))
    _add_near(net, sums, 9, wide(plane[y - 1, x + 2]))


@inlined
def _add_near(net: Net, sums: NDArray[np.float32], which: int, value: int) -> None:
    if value != 0:
        row = min(max(value, -NEAR_LIMIT), NEAR_LIMIT) + NEAR_LIMIT
        for unit in range(HIDDEN):
            sums[unit] += net.near[which, row, unit]


@inlined
def _magnitude_contexts(machine: Machine, state: BandState, i: int, j: int, west: int, north: int, window: int) -> int:
    """Point the inputs but the net's own at each context's first slot; returns the level of the nearest neighbours."""
    plane, y, x, log = state.plane, i + ABOVE, j + BESIDE, state.log_level
    west, north = abs(west), abs(north)
    north_west, north_east = abs(wide(plane[y - 1, x - 1])), abs(wide(plane[y - 1, x + 1]))
    nearest = 2 * (west + north) + north_west + north_east
    height, width = state.parent_sums.shape
    parent = wide(state.parent_sums[min(i >> 1, height - 1), min(j >> 1, width - 1)])
    sisters = wide(0)
    for k in range(state.orientation):
        sisters += state.sister_sums[k, i, j]
    near = wide(log[min(nearest, LARGEST_SUM)])
    nearby = log[min((nearest + window) >> 1, LARGEST_SUM)]
    everything = log[min((nearest + window + parent + sisters) >> 2, LARGEST_SUM)]
    each = ((min(west, 3) * 4 + min(north, 3)) * 3 + min(north_west, 2)) * 3 + min(north_east, 2)
    o, inputs = state.orientation, machine.inputs
    inputs[2] = AT_NEAR + UNARY * (near * 12 + LEVEL_CLASSES * o + state.level_class)
    inputs[3] = AT_PARENT + UNARY * ((nearby * LOG_LEVELS + log[min(parent >> 1, LARGEST_SUM)]) * 3 + o)
    inputs[4] = AT_SISTERS + UNARY * ((everything * LOG_LEVELS + log[min(sisters >> 2, LARGEST_SUM)]) * 3 + o)
    inputs[5] = AT_EACH + UNARY * (each * 3 + o)
    return near


@inlined
def _code_magnitude(machine: Machine, state: BandState, near: int, magnitude: int) -> int:
    group = LEVEL_CLASSES * state.orientation + state.level_class
    for position in range(UNARY):
        logit = logit_of(state.logits, position)
        bucket = _bucket(logit)
        machine.inputs[1] = AT_NET + UNARY * (group * BUCKETS + bucket) + position
        other_set = BUCKET_SET + COARSE_BUCKETS * min(position, MIXED_POSITIONS - 1) + (bucket >> 1)
        bit = 1 if magnitude > position else 0
        if decide(machine, MAGNITUDE_MIXED, logit, group * UNARY + position, other_set, bit) == 0:
            return position
        for k in range(2, MAGNITUDE_MIXED):
            machine.inputs[k] += 1
    return UNARY - 1 + _code_escape(machine, state, near, magnitude - UNARY + 1)


@inlined
def _code_escape(machine: Machine, state: BandState, near: int, value: int) -> int:
    """Elias gamma code of value >= 1: its bit length less one in unary, then the bits below the leading one."""
    extra = 0
    while extra < ESCAPES - 1:
        logit = logit_of(state.logits, FIRST_PREFIX + extra) if extra < PREFIXES else 0
        machine.inputs[1] = ESCAPE_START + ESCAPES * near + extra
        if decide(machine, 2, logit, ESCAPE_SET, NO_SET, 1 if (value >> (extra + 1)) > 0 else 0) == 0:
            break
        extra += 1
    return (1 << extra) | code_raw(machine, extra, value & ((1 << extra) - 1))


@inlined
def _code_quiet(machine: Machine, state: BandState, value: int) -> int:
    """An index that is expected to be zero; otherwise an escape, without the net."""
    machine.inputs[1] = QUIET_START + LEVEL_CLASSES * state.orientation + state.level_class
    if decide(machine, 2, -LOGIT_LIMIT, QUIET_SET, NO_SET, 1 if value != 0 else 0) == 0:
        return 0
    for unit in range(PADDED_OUTPUTS):
        state.logits[unit] = 0
    magnitude = _code_escape(machine, state, 0, abs(value))
    return magnitude if code_raw(machine, 1, 1 if value > 0 else 0) == 1 else -magnitude


@inlined
def logit_of(logits: NDArray[np.float32], which: int) -> int:
    """A logit of the net with 8 fractional bits."""
    return min(max(wide(logits[which]) >> LOGIT_SHIFT, -LOGIT_LIMIT), LOGIT_LIMIT)


@inlined
def _bucket(logit: int) -> int:
    """A logit's bucket, by one half from -8 to 8."""
    return (logit + 2048 + 64) >> 7


@inlined
def _ternary(value: int) -> int:
    return 0 if value == 0 else (1 if value > 0 else 2)
