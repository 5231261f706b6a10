"""The transform of `lifting` in float64 vector arithmetic: the same integers in half the time, a fifth on large images.

Every value is an integer below 2^53 and every operation on it exact, so order, vector width and fused multiply-add
change nothing: floor((m s + 2^15) / 2^16) is the shift of `lifting`. That holds while what a level starts from stays
below EXACT_BELOW; `inverse` says so, and whoever gets a no takes `lifting`. Pixels of 16 bits never leave it on the way
forward. Lines are lifted as whole vectors, and both directions and all their steps roll down the image together over
a ring of eight lines that stays in the first-level cache: a sample is fetched from memory once a level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import lifting
from mripacs.core.jit import compiled, inlined

# One direction of synthesis makes values at most 11.8 times as large; the largest pair in the other is 4.7 times its
# input, and the multipliers stay below 2^16.7: 2^(30 + 3.6 + 2.3 + 16.7) < 2^53. 16-bit noise reaches 2^29.5.
EXACT_BELOW = float(1 << 30)
UNIT = 1.0 / (1 << lifting.MULTIPLIER_BITS)
ONE_HALF = float(lifting.HALF_MULTIPLIER)
UNITS_PER_PIXEL = float(1 << lifting.FRACTION_BITS)
PIXEL = 1.0 / UNITS_PER_PIXEL
HALF_PIXEL = float(lifting.HALF)
RING = 7  # lines of the ring less one: line k lies at k & RING
ALPHA, BETA, GAMMA, DELTA = (float(m) for m in (lifting.ALPHA, lifting.BETA, lifting.GAMMA, lifting.DELTA))


@inlined
def _share(multiplier: float, pair: float) -> float:
    """What a lifting step adds: round(multiplier * pair / 2^16), halves up."""
    share: float = np.floor((multiplier * pair + ONE_HALF) * UNIT)
    return share


def _stepped(sign: float) -> Callable[..., None]:
    """A lifting step down the columns, or (sign -1) the step that undoes it."""

    @compiled
    def step(
        lines: NDArray[np.float64],
        line: int,
        near: NDArray[np.float64],
        before: int,
        after: int,
        multiplier: float,
        out: NDArray[np.float64],
        to: int,
        columns: int,
    ) -> None:
        """out[to] = lines[line] +- the share of near[before] + near[after], over the first `columns` samples."""
        for j in range(columns):
            out[to, j] = lines[line, j] + sign * _share(multiplier, near[before, j] + near[after, j])

    return step


_add, _take = _stepped(1.0), _stepped(-1.0)


@compiled
def _analyse_line(
    even: NDArray[np.float64], odd: NDArray[np.float64], lines: NDArray[np.float64], to: int, columns: int
) -> None:
    """One line of `columns` samples, even[j] before odd[j + 1], to lines[to], low-pass half first; spoils both."""
    high = columns // 2
    low = columns - high
    even[low] = even[low - 1]  # mirrored; an odd count of samples ends in an even one and never looks there
    for j in range(high):
        odd[j + 1] += _share(ALPHA, even[j] + even[j + 1])
    odd[0], odd[high + 1] = odd[1], odd[high]
    for j in range(low):
        even[j] += _share(BETA, odd[j] + odd[j + 1])
    even[low] = even[low - 1]
    for j in range(high):
        odd[j + 1] += _share(GAMMA, even[j] + even[j + 1])
        lines[to, low + j] = odd[j + 1]
    odd[0], odd[high + 1] = odd[1], odd[high]
    for j in range(low):
        lines[to, j] = even[j] + _share(DELTA, odd[j] + odd[j + 1])


@compiled
def _synthesise_line(
    lines: NDArray[np.float64], line: int, even: NDArray[np.float64], odd: NDArray[np.float64], columns: int
) -> None:
    """Undo `_analyse_line`: lines[line] to even[j] and odd[j + 1]."""
    high = columns // 2
    low = columns - high
    for j in range(high):
        odd[j + 1] = lines[line, low + j]
    odd[0], odd[high + 1] = odd[1], odd[high]
    for j in range(low):
        even[j] = lines[line, j] - _share(DELTA, odd[j] + odd[j + 1])
    even[low] = even[low - 1]
    for j in range(high):
        odd[j + 1] -= _share(GAMMA, even[j] + even[j + 1])
    odd[0], odd[high + 1] = odd[1], odd[high]
    for j in range(low):
        even[j] -= _share(BETA, odd[j] + odd[j + 1])
    even[low] = even[low - 1]
    for j in range(high):
        odd[j + 1] -= _share(ALPHA, even[j] + even[j + 1])


@compiled
def _read_line(
    source: NDArray[Any],
    i: int,
    scale: float,
    even: NDArray[np.float64],
    odd: NDArray[np.float64],
    lines: NDArray[np.float64],
    columns: int,
) -> None:
    """Line i of `source`, times `scale`, transformed along itself, into the ring."""
    for j in range(columns // 2):
        even[j] = source[i, 2 * j] * scale
        odd[j + 1] = source[i, 2 * j + 1] * scale
    if columns & 1:
        even[columns // 2] = source[i, columns - 1] * scale
    _analyse_line(even, odd, lines, i & RING, columns)


@compiled
def analyse_level(source: NDArray[Any], scale: float, target: NDArray[np.float64], rows: int, columns: int) -> None:
    """One level: the top left (rows, columns) of `source`, times `scale`, to that corner of another array, `target`."""
    high = rows // 2
    low = rows - high
    last = 2 * low - 2
    lines = np.empty((RING + 1, columns), np.float64)
    even, odd = np.empty(columns + 2, np.float64), np.empty(columns + 2, np.float64)
    _read_line(source, 0, scale, even, odd, lines, columns)
    for k in range(low + 1):  # even line 2k, odd line 2k + 1; at the borders the same line counts twice
        if k < high:
            _read_line(source, 2 * k + 1, scale, even, odd, lines, columns)
            if 2 * k + 2 <= last:
                _read_line(source, 2 * k + 2, scale, even, odd, lines, columns)
            at, after = (2 * k + 1) & RING, min(2 * k + 2, last) & RING
            _add(lines, at, lines, 2 * k & RING, after, ALPHA, lines, at, columns)
        if k < low:
            at, before, after = 2 * k & RING, max(2 * k - 1, 1) & RING, (min(2 * k, 2 * high - 2) + 1) & RING
            _add(lines, at, lines, before, after, BETA, lines, at, columns)
        j = k - 1
        if 0 <= j < high:
            at, after = (2 * j + 1) & RING, min(2 * j + 2, last) & RING
            _add(lines, at, lines, 2 * j & RING, after, GAMMA, target, low + j, columns)
        if j >= 0:
            before, after = low + max(j - 1, 0), low + min(j, high - 1)
            _add(lines, 2 * j & RING, target, before, after, DELTA, target, j, columns)


@compiled
def _lift_back(source: NDArray[np.float64], k: int, lines: NDArray[np.float64], rows: int, columns: int) -> None:
    """What can be undone down the columns once lines k and low + k of `source` are taken up: line 2k - 4 is final."""
    high = rows // 2
    low = rows - high
    last = 2 * low - 2
    if k < low:
        before, after = low + max(k - 1, 0), low + min(k, high - 1)
        _take(source, k, source, before, after, DELTA, lines, 2 * k & RING, columns)
    j = k - 1
    if 0 <= j < high:
        after = min(2 * j + 2, last) & RING
        _take(source, low + j, lines, 2 * j & RING, after, GAMMA, lines, (2 * j + 1) & RING, columns)
    if 0 <= j < low:
        at, before, after = 2 * j & RING, max(2 * j - 1, 1) & RING, (min(2 * j, 2 * high - 2) + 1) & RING
        _take(lines, at, lines, before, after, BETA, lines, at, columns)
    j = k - 2
    if 0 <= j < high:
        at, after = (2 * j + 1) & RING, min(2 * j + 2, last) & RING
        _take(lines, at, lines, 2 * j & RING, after, ALPHA, lines, at, columns)


@compiled
def synthesise_level(source: NDArray[np.float64], target: NDArray[np.float64], rows: int, columns: int) -> bool:
    """Undo `analyse_level` without the scale, from `source` to another array, `target`.

    False if a value is too large for float64 to be exact; the content is of no use then.
    """
    if not _below(source, rows, columns, EXACT_BELOW):
        return False
    low = (rows + 1) // 2
    lines = np.empty((RING + 1, columns), np.float64)
    even, odd = np.empty(columns + 2, np.float64), np.empty(columns + 2, np.float64)
    for k in range(low + 2):
        _lift_back(source, k, lines, rows, columns)
        for i in range(max(2 * k - 4, 0), min(2 * k - 2, rows)):
            _synthesise_line(lines, i & RING, even, odd, columns)
            for j in range(columns // 2):
                target[i, 2 * j] = even[j]
                target[i, 2 * j + 1] = odd[j + 1]
            if columns & 1:
                target[i, columns - 1] = even[columns // 2]
    return True


@compiled
def _synthesise_pixels(source: NDArray[np.float64], low_end: float, high_end: float, pixels: NDArray[np.int32]) -> bool:
    """The last level, its samples rounded half up to integers within [low_end, high_end]."""
    rows, columns = pixels.shape
    if not _below(source, rows, columns, EXACT_BELOW):
        return False
    low = (rows + 1) // 2
    lines = np.empty((RING + 1, columns), np.float64)
    even, odd = np.empty(columns + 2, np.float64), np.empty(columns + 2, np.float64)
    for k in range(low + 2):
        _lift_back(source, k, lines, rows, columns)
        for i in range(max(2 * k - 4, 0), min(2 * k - 2, rows)):
            _synthesise_line(lines, i & RING, even, odd, columns)
            for j in range(columns // 2):
                pixels[i, 2 * j] = _pixel(even[j], low_end, high_end)
                pixels[i, 2 * j + 1] = _pixel(odd[j + 1], low_end, high_end)
            if columns & 1:
                pixels[i, columns - 1] = _pixel(even[columns // 2], low_end, high_end)
    return True


@inlined
def _pixel(sample: float, low_end: float, high_end: float) -> np.int32:
    value = np.floor((sample + HALF_PIXEL) * PIXEL)
    value = value if value > low_end else low_end
    return np.int32(value if value < high_end else high_end)


@compiled
def _below(samples: NDArray[np.float64], rows: int, columns: int, limit: float) -> bool:
    """Whether the top left (rows, columns) are smaller than `limit` in magnitude."""
    for i in range(rows):
        beyond = 0
        for j in range(columns):
            beyond += 1 if abs(samples[i, j]) >= limit else 0
        if beyond > 0:
            return False
    return True


@compiled
def _copy(source: NDArray[np.float64], target: NDArray[np.float64], rows: int, columns: int) -> None:
    for i in range(rows):
        for j in range(columns):
            target[i, j] = source[i, j]


@compiled
def forward(pixels: NDArray[np.int32], levels: int, coefficients: NDArray[np.float64]) -> None:
    """Fill `coefficients` (rows, columns), in fixed point and the Mallat layout, from integer pixels of that shape."""
    rows, columns = pixels.shape
    if levels == 0:
        for i in range(rows):
            for j in range(columns):
                coefficients[i, j] = pixels[i, j] * UNITS_PER_PIXEL
        return
    analyse_level(pixels, UNITS_PER_PIXEL, coefficients, rows, columns)
    corner = np.empty(((rows + 1) // 2, (columns + 1) // 2), np.float64)
    for _ in range(levels - 1):
        rows, columns = (rows + 1) // 2, (columns + 1) // 2
        _copy(coefficients, corner, rows, columns)
        analyse_level(corner, 1.0, coefficients, rows, columns)


@compiled
def inverse(
    coefficients: NDArray[np.float64], levels: int, low_end: float, high_end: float, pixels: NDArray[np.int32]
) -> bool:
    """Fill `pixels` (rows, columns), rounded half up and clipped to [low_end, high_end]; overwrites `coefficients`.

    False if a value is too large for float64 to be exact; `pixels` are of no use then.
    """
    rows, columns = pixels.shape
    if levels == 0:
        for i in range(rows):
            for j in range(columns):
                pixels[i, j] = _pixel(coefficients[i, j], low_end, high_end)
        return _below(coefficients, rows, columns, EXACT_BELOW)
    return synthesise(coefficients, levels, 1) and _synthesise_pixels(coefficients, low_end, high_end, pixels)


@compiled
def synthesise(coefficients: NDArray[np.float64], levels: int, stop: int) -> bool:
    """Undo the levels above `stop`, which is 1 at least, in place: the corner becomes the low-pass image of `stop`."""
    rows, columns = coefficients.shape
    corner = np.empty(((rows + 1) // 2, (columns + 1) // 2), np.float64)
    for level in range(levels - 1, stop - 1, -1):
        height, width = -(-rows >> level), -(-columns >> level)
        if not synthesise_level(coefficients, corner, height, width):
            return False
        _copy(corner, coefficients, height, width)
    return True
