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

from mripacs.codec.kwavelet.fast_range import (
    COUNT_MASK,
    LOW,
    NARROW,
    POSITION,
    TO_16_BITS,
    WIDTH,
    WORD_BITS,
    Coder,
    code_bits,
    decide,
    divide,
    exchange,
    learned,
)
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
from mripacs.core.jit import compiled, inlined, narrow, place, wide

RING = 3  # rows kept: the one at hand and two above. A plane of the band's size costs more to have than to use
BESIDE = 4  # zero columns on each side
LARGEST_NEIGHBOUR = 63
LARGEST_SIGNED_INDEX = 3


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
    logs = np.zeros((RING, columns + 2 * BESIDE), np.float32)
    signed = np.zeros_like(logs)
    magnitudes = np.zeros_like(logs)
    window = np.empty(columns + 2 * BESIDE, np.float32)
    sizes, leans = np.empty(columns, np.int32), np.empty(columns, np.int32)
    groups = np.empty(2 * -(-columns // GROUP), np.int32)
    for i in range(rows):
        y, y_1, y_2 = i % RING, (i + 2) % RING, (i + 1) % RING
        _sizes(size[i], logs[y_2], logs[y_1], magnitudes[y_2], magnitudes[y_1], near.size_above, window, sizes)
        _leans(lean[i], signed[y_2], signed[y_1], near.lean_above, leans)
        _groups(sizes, indices[i], groups)
        for j in range(logs.shape[1]):
            logs[y, j], signed[y, j], magnitudes[y, j] = 0, 0, 0
        _code_row(coder, band_class, near, sizes, leans, logs[y], signed[y], magnitudes[y], groups, indices[i])


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
def _code_row(  # noqa: PLR0915 - one loop: what is split off gets arrays, and counts their references
    coder: Coder,
    band_class: int,
    near: Neighbours,
    sizes: NDArray[np.int32],
    leans: NDArray[np.int32],
    logs: NDArray[np.float32],
    signed: NDArray[np.float32],
    magnitudes: NDArray[np.float32],
    groups: NDArray[np.int32],
    indices: NDArray[np.int32],
) -> None:
    """Code one row; its logs, clipped indices and magnitudes are filled in for the rows below. groups : `_groups`."""
    # Arrays are taken out of their tuples once and passed to nothing that is inlined: see `fast_range.divide`.
    decoding, words, slots, reciprocal = coder.decoding, coder.words, coder.slots, coder.reciprocal
    low, width, position = coder.registers[LOW], coder.registers[WIDTH], coder.registers[POSITION]
    first_magnitude = MAGNITUDES + band_class * EXPECTED_LEVELS * UNARY
    first_group, first_sign = GROUPS + band_class * EXPECTED_LEVELS, SIGNS + band_class * SIGN_LEVELS
    size_left, lean_w, lean_ww = near.size_left, near.lean_left[0], near.lean_left[1]
    west, west_west, west_signed, west_west_signed = 0, 0, 0, 0
    columns = indices.shape[0]
    j = 0
    while j < columns:
        if j & (GROUP - 1) == 0 and west == 0 and west_west == 0 and groups[place(2 * (j // GROUP))] < QUIET:
            at = first_group + _level(groups[place(2 * (j // GROUP))])
            slot = wide(slots[place(at)])
            low, width, bit = divide(decoding, low, width, slot >> TO_16_BITS, groups[place(2 * (j // GROUP) + 1)])
            if width < NARROW:
                low, width, position = exchange(words, low, position, decoding), width << WORD_BITS, position + 1
            slots[place(at)] = learned(slot, bit, wide(reciprocal[place(slot & COUNT_MASK)]))
            if bit == 0:
                j += GROUP
                west_signed, west_west_signed = 0, 0
                continue
        size = sizes[place(j)] + size_left[0, place(west)] + size_left[1, place(west_west)]
        first = first_magnitude + _level(size) * UNARY
        value = wide(indices[place(j)])
        magnitude, bit = abs(value), 1
        coded = 0
        while coded < UNARY:
            slot = wide(slots[place(first + coded)])
            low, width, bit = divide(decoding, low, width, slot >> TO_16_BITS, 1 if magnitude > coded else 0)
            if width < NARROW:
                low, width, position = exchange(words, low, position, decoding), width << WORD_BITS, position + 1
            slots[place(first + coded)] = learned(slot, bit, wide(reciprocal[place(slot & COUNT_MASK)]))
            if bit == 0:
                break
            coded += 1
        west_west, west_west_before = west, west_west_signed
        west_west_signed = west_signed
        if coded == 0:
            west, west_signed = 0, 0
            j += 1
            continue
        if coded == UNARY:
            coder.registers[LOW], coder.registers[WIDTH], coder.registers[POSITION] = low, width, position
            coded = UNARY - 1 + _code_escape(coder, magnitude - UNARY + 1)
            low, width, position = coder.registers[LOW], coder.registers[WIDTH], coder.registers[POSITION]
        leaning = leans[place(j)] + lean_w * west_signed + lean_ww * west_west_before
        fold = 1 if leaning < 0 else 0
        at = first_sign + min(abs(leaning) >> EXPECTED_SHIFT, SIGN_LEVELS - 1)
        slot = wide(slots[place(at)])
        low, width, bit = divide(decoding, low, width, slot >> TO_16_BITS, (1 if value > 0 else 0) ^ fold)
        if width < NARROW:
            low, width, position = exchange(words, low, position, decoding), width << WORD_BITS, position + 1
        slots[place(at)] = learned(slot, bit, wide(reciprocal[place(slot & COUNT_MASK)]))
        value = coded if bit != fold else -coded
        west = min(coded, LARGEST_NEIGHBOUR)
        west_signed = min(max(value, -LARGEST_SIGNED_INDEX), LARGEST_SIGNED_INDEX)
        indices[place(j)] = value
        magnitudes[place(j + BESIDE)] = west
        signed[place(j + BESIDE)] = west_signed
        logs[place(j + BESIDE)] = logarithm(narrow(west))
        j += 1
    coder.registers[LOW], coder.registers[WIDTH], coder.registers[POSITION] = low, width, position


@compiled
def _groups(sizes: NDArray[np.int32], indices: NDArray[np.int32], groups: NDArray[np.int32]) -> None:
    """For each whole group of a row its largest size logit, and whether any of its indices is not zero."""
    columns = sizes.shape[0]
    for g in range(groups.shape[0] // 2):
        largest, busy = QUIET, 0
        if (g + 1) * GROUP <= columns:  # else never quiet
            largest = wide(sizes[g * GROUP])
            for j in range(g * GROUP, (g + 1) * GROUP):
                largest = max(largest, wide(sizes[j]))
                busy |= 1 if indices[j] != 0 else 0
        groups[2 * g], groups[2 * g + 1] = largest, busy


@compiled
def _code_escape(coder: Coder, value: int) -> int:
    """Elias gamma code of value >= 1: its bit length less one in unary, then the bits below the leading one."""
    extra = 0
    while extra < GAMMA_BITS - 1:
        if decide(coder, ESCAPES + extra, 1 if value >> (extra + 1) > 0 else 0) == 0:
            break
        extra += 1
    return (1 << extra) | code_bits(coder, extra, value)
