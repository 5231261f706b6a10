"""The fast coder's inner loop: one detail band, row after row, encoder and decoder in one.

For a whole row at once the linear forms get the shares of the rows above; then, coefficient by coefficient, those of
the two to the left. The size logit, in quarter nats, chooses the adaptive probabilities of a magnitude's unary
decisions; the lean, folded about zero, that of the sign. Where a row is expected to be empty, one decision clears
eight at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.fast_range import HALF, LOW, POSITION, TO_16_BITS, WIDTH, code, learn
from mripacs.codec.kwavelet.fast_shapes import (
    ESCAPES,
    EXPECTED_LEVELS,
    EXPECTED_LOWEST,
    EXPECTED_SHIFT,
    GAMMA_BITS,
    GROUP,
    GROUPS,
    MAGNITUDES,
    QUIET,
    SIGN_LEVELS,
    SIGNS,
    UNARY,
)
from mripacs.codec.kwavelet.fast_side import logarithm
from mripacs.codec.kwavelet.jit import compiled, inlined, narrow, place, wide

ABOVE = 2  # zero rows above a band
BESIDE = 4  # zero columns on each side
LARGEST_NEIGHBOUR = 63
LARGEST_SIGNED_INDEX = 3
State = tuple[int, int, int]  # the range coder's registers while a row is coded


class Coder(NamedTuple):
    """What all decisions of a frame share."""

    decoding: bool
    words: NDArray[np.uint16]
    registers: NDArray[np.int64]
    slots: NDArray[np.int32]
    reciprocal: NDArray[np.int32]  # (COUNT_LIMIT + 1,) 65536 / (n + 1.5)


class Neighbours(NamedTuple):
    """Trained weights of a band's own coefficients, 14 fractional bits."""

    size_above: NDArray[np.float32]  # (5,) logs of N, NW, NE, NN and the window
    size_left: NDArray[np.int64]  # (2, LARGEST_NEIGHBOUR + 1) shares of W and WW by magnitude
    lean_above: NDArray[np.float32]  # (4,) N, NW, NE, NN
    lean_left: NDArray[np.int64]  # (2,) W and WW


@compiled
def code_band(
    coder: Coder,
    band_class: int,
    near: Neighbours,
    size: NDArray[np.float32],
    lean: NDArray[np.float32],
    indices: NDArray[np.int32],
) -> None:
    """Code the band (rows, columns); fills `indices` when decoding. size, lean : shares of `fast_side`."""
    rows, columns = indices.shape
    logs = np.zeros((rows + ABOVE, columns + 2 * BESIDE), np.float32)
    signed = np.zeros_like(logs)
    magnitudes = np.zeros_like(logs)
    window = np.empty(columns + 2 * BESIDE, np.float32)
    sizes, leans = np.empty(columns, np.int32), np.empty(columns, np.int32)
    for i in range(rows):
        _sizes(size[i], logs[i], logs[i + 1], magnitudes[i], magnitudes[i + 1], near.size_above, window, sizes)
        _leans(lean[i], signed[i], signed[i + 1], near.lean_above, leans)
        y = i + ABOVE
        _code_row(coder, band_class, near, sizes, leans, logs[y], signed[y], magnitudes[y], indices[i])


@compiled
def _sizes(
    size: NDArray[np.float32],
    logs_2: NDArray[np.float32],
    logs_1: NDArray[np.float32],
    magnitudes_2: NDArray[np.float32],
    magnitudes_1: NDArray[np.float32],
    weights: NDArray[np.float32],
    window: NDArray[np.float32],
    sizes: NDArray[np.int32],
) -> None:
    """The size logit of a row but for its left neighbours, from the rows two and one above."""
    north, north_west, north_east, north_north, around = weights
    for j in range(window.shape[0]):
        window[j] = magnitudes_2[j] + magnitudes_1[j]
    for j in range(sizes.shape[0]):
        total = window[j + 1] + window[j + 2] + window[j + 3] + window[j + 4] + window[j + 5] + window[j + 6]
        share = north * logs_1[j + 4] + north_west * logs_1[j + 3] + north_east * logs_1[j + 5]
        share += north_north * logs_2[j + 4] + around * logarithm(total + window[j + 7])
        sizes[j] = np.int32(size[j] + share)


@compiled
def _leans(
    lean: NDArray[np.float32],
    signed_2: NDArray[np.float32],
    signed_1: NDArray[np.float32],
    weights: NDArray[np.float32],
    leans: NDArray[np.int32],
) -> None:
    """The lean of a row but for its left neighbours."""
    north, north_west, north_east, north_north = weights
    for j in range(leans.shape[0]):
        share = north * signed_1[j + 4] + north_west * signed_1[j + 3] + north_east * signed_1[j + 5]
        leans[j] = np.int32(lean[j] + share + north_north * signed_2[j + 4])


@inlined
def _level(size: int) -> int:
    """The size logit as one of EXPECTED_LEVELS."""
    level = (size - EXPECTED_LOWEST) >> EXPECTED_SHIFT
    level = level if level > 0 else 0
    return level if level < EXPECTED_LEVELS - 1 else EXPECTED_LEVELS - 1


@compiled
def _code_row(
    coder: Coder,
    band_class: int,
    near: Neighbours,
    sizes: NDArray[np.int32],
    leans: NDArray[np.int32],
    logs: NDArray[np.float32],
    signed: NDArray[np.float32],
    magnitudes: NDArray[np.float32],
    indices: NDArray[np.int32],
) -> None:
    """Code one row; its logs, clipped indices and magnitudes are filled in for the rows below."""
    state = coder.registers[LOW], coder.registers[WIDTH], coder.registers[POSITION]
    first = MAGNITUDES + band_class * EXPECTED_LEVELS * UNARY
    first_group, first_sign = GROUPS + band_class * EXPECTED_LEVELS, SIGNS + band_class * SIGN_LEVELS
    size_left, lean_w, lean_ww = near.size_left, near.lean_left[0], near.lean_left[1]
    west, west_west, west_signed, west_west_signed = 0, 0, 0, 0
    columns = indices.shape[0]
    j = 0
    while j < columns:
        if j & (GROUP - 1) == 0 and west == 0 and west_west == 0 and j + GROUP <= columns:
            state, empty = _code_group(coder, state, first_group, sizes, indices, j)
            if empty:
                j += GROUP
                west_signed, west_west_signed = 0, 0
                continue
        value = wide(indices[place(j)])
        size = sizes[place(j)] + size_left[0, place(west)] + size_left[1, place(west_west)]
        state, magnitude = _code_magnitude(coder, state, first + _level(size) * UNARY, abs(value))
        west_west = west
        west = 0
        signed_value = 0
        if magnitude > 0:
            leaning = leans[place(j)] + lean_w * west_signed + lean_ww * west_west_signed
            state, positive = _code_sign(coder, state, first_sign, leaning, value > 0)
            value = magnitude if positive else -magnitude
            west = min(magnitude, LARGEST_NEIGHBOUR)
            signed_value = min(max(value, -LARGEST_SIGNED_INDEX), LARGEST_SIGNED_INDEX)
            magnitudes[place(j + BESIDE)] = west
            signed[place(j + BESIDE)] = signed_value
            logs[place(j + BESIDE)] = logarithm(narrow(west))
            indices[place(j)] = value
        west_west_signed, west_signed = west_signed, signed_value
        j += 1
    coder.registers[LOW], coder.registers[WIDTH], coder.registers[POSITION] = state


@inlined
def _decide(coder: Coder, state: State, at: int, bit: int) -> tuple[State, int]:
    """Code one bit with the probability in slot `at`, and learn from it."""
    low, width, position = state
    probability = coder.slots[place(at)] >> TO_16_BITS
    low, width, position, bit = code(coder.words, low, width, position, coder.decoding, probability, bit)
    learn(coder.slots, at, bit, coder.reciprocal)
    return (low, width, position), bit


@inlined
def _code_group(
    coder: Coder, state: State, first: int, sizes: NDArray[np.int32], indices: NDArray[np.int32], j: int
) -> tuple[State, bool]:
    """Whether the next GROUP indices are all zero, where that is likely enough to be asked; else no."""
    largest = wide(sizes[place(j)])
    for k in range(1, GROUP):
        largest = max(largest, wide(sizes[place(j + k)]))
    bit = 1
    if largest < QUIET:
        bit = 0
        if not coder.decoding:
            for k in range(GROUP):
                bit |= 1 if indices[place(j + k)] != 0 else 0
        state, bit = _decide(coder, state, first + _level(largest), bit)
    return state, bit == 0


@inlined
def _code_magnitude(coder: Coder, state: State, first: int, magnitude: int) -> tuple[State, int]:
    """A magnitude in unary up to UNARY, then as an Elias gamma number."""
    coded = 0
    while coded < UNARY:
        state, bit = _decide(coder, state, first + coded, 1 if magnitude > coded else 0)
        if bit == 0:
            break
        coded += 1
    if coded == UNARY:
        state, escaped = _code_escape(coder, state, magnitude - UNARY + 1)
        coded = UNARY - 1 + escaped
    return state, coded


@compiled
def _code_escape(coder: Coder, state: State, value: int) -> tuple[State, int]:
    """Elias gamma code of value >= 1: its bit length less one in unary, then the bits below the leading one."""
    extra = 0
    while extra < GAMMA_BITS - 1:
        state, bit = _decide(coder, state, ESCAPES + extra, 1 if value >> (extra + 1) > 0 else 0)
        if bit == 0:
            break
        extra += 1
    low, width, position = state
    coded = 1
    for shift in range(extra - 1, -1, -1):
        bit = (value >> shift) & 1
        low, width, position, bit = code(coder.words, low, width, position, coder.decoding, HALF, bit)
        coded = 2 * coded + bit
    return (low, width, position), coded


@inlined
def _code_sign(coder: Coder, state: State, first: int, leaning: int, positive: bool) -> tuple[State, bool]:
    """A sign, in the context of how strongly and whether with or against its lean."""
    fold = 1 if leaning < 0 else 0
    strength = min((-leaning if fold == 1 else leaning) >> EXPECTED_SHIFT, SIGN_LEVELS - 1)
    state, bit = _decide(coder, state, first + strength, (1 if positive else 0) ^ fold)
    return state, bit != fold
