"""CDF 9/7 wavelet by integer lifting: image <-> coefficients in the Mallat layout, any size, exactly invertible.

Samples and coefficients are int64 in fixed point with `FRACTION_BITS` fractional bits. Each lifting step adds a rounded
integer multiple of its neighbours, so the inverse undoes the forward transform bit for bit on every platform. The
signal is extended symmetrically about its end samples (whole-sample symmetry), which adds no coefficients.

The usual scaling by K after the last lifting step is left out: `bands.SYNTHESIS_NORMS` absorbs it into the quantiser.
In the Mallat layout a level's low-pass band is the top left ceil(rows/2) x ceil(columns/2) corner of the level above.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.jit import compiled

# 10 bits: rounding in six levels moves a coefficient by 0.001 grey levels RMS, 0.006 at most (noise), and 16-bit
# samples give coefficients < 2^31.
FRACTION_BITS = 10
HALF = 1 << (FRACTION_BITS - 1)
# Lifting multipliers of Daubechies and Sweldens (1998), times 2^16, rounded.
MULTIPLIER_BITS = 16
HALF_MULTIPLIER = 1 << (MULTIPLIER_BITS - 1)
ALPHA, BETA, GAMMA, DELTA = -103949, -3472, 57862, 29066

MAX_LEVELS = 6
MIN_SHORT_SIDE = 6  # a level needs at least six samples, so that the filters overlap the border only once


def level_count(rows: int, columns: int) -> int:
    """Number of decompositions for an image: halve while the short side is at least 6, at most 6 times."""
    short, levels = min(rows, columns), 0
    while short >= MIN_SHORT_SIDE and levels < MAX_LEVELS:
        short, levels = (short + 1) // 2, levels + 1
    return levels


@compiled
def _lift(lines: NDArray[np.int64], first: int, count: int, multiplier: int) -> None:
    """Add multiplier * (line above + line below) to each second line of the first `count`, starting at `first`."""
    width = lines.shape[1]
    for i in range(first, count, 2):
        above = i - 1 if i > 0 else 1
        below = i + 1 if i + 1 < count else count - 2
        for j in range(width):
            lines[i, j] += (multiplier * (lines[above, j] + lines[below, j]) + HALF_MULTIPLIER) >> MULTIPLIER_BITS


@compiled
def _analyse_lines(lines: NDArray[np.int64]) -> None:
    """Transform along the first axis in place; low-pass lines end at even, high-pass lines at odd positions."""
    count = lines.shape[0]
    _lift(lines, 1, count, ALPHA)
    _lift(lines, 0, count, BETA)
    _lift(lines, 1, count, GAMMA)
    _lift(lines, 0, count, DELTA)


@compiled
def _synthesise_lines(lines: NDArray[np.int64]) -> None:
    """Undo `_analyse_lines`: the same steps backwards with opposite signs of what was added."""
    count = lines.shape[0]
    _unlift(lines, 0, count, DELTA)
    _unlift(lines, 1, count, GAMMA)
    _unlift(lines, 0, count, BETA)
    _unlift(lines, 1, count, ALPHA)


@compiled
def _unlift(lines: NDArray[np.int64], first: int, count: int, multiplier: int) -> None:
    width = lines.shape[1]
    for i in range(first, count, 2):
        above = i - 1 if i > 0 else 1
        below = i + 1 if i + 1 < count else count - 2
        for j in range(width):
            lines[i, j] -= (multiplier * (lines[above, j] + lines[below, j]) + HALF_MULTIPLIER) >> MULTIPLIER_BITS


@compiled
def _transpose(source: NDArray[np.int64], target: NDArray[np.int64]) -> None:
    """Copy source[i, j] to target[j, i] in tiles that fit the first-level cache."""
    rows, columns = source.shape
    for top in range(0, rows, 16):
        for left in range(0, columns, 16):
            for i in range(top, min(top + 16, rows)):
                for j in range(left, min(left + 16, columns)):
                    target[j, i] = source[i, j]


@compiled
def _split(source: NDArray[np.int64], target: NDArray[np.int64]) -> None:
    """Copy even lines to the first half of `target`, odd lines to the second."""
    count, width = source.shape
    half = (count + 1) // 2
    for i in range(count):
        to = i // 2 + half * (i % 2)
        for j in range(width):
            target[to, j] = source[i, j]


@compiled
def _interleave(source: NDArray[np.int64], target: NDArray[np.int64]) -> None:
    """Undo `_split`."""
    count, width = source.shape
    half = (count + 1) // 2
    for i in range(count):
        at = i // 2 + half * (i % 2)
        for j in range(width):
            target[i, j] = source[at, j]


@compiled
def analyse_level(corner: NDArray[np.int64]) -> None:
    """One forward level in place on (rows, columns) >= 2 x 2: low | high along columns, then along rows."""
    rows, columns = corner.shape
    turned = np.empty((columns, rows), np.int64)
    _transpose(corner, turned)
    _analyse_lines(turned)
    halves = np.empty((columns, rows), np.int64)
    _split(turned, halves)
    upright = np.empty((rows, columns), np.int64)
    _transpose(halves, upright)
    _analyse_lines(upright)
    _split(upright, corner)


@compiled
def synthesise_level(corner: NDArray[np.int64]) -> None:
    """Undo `analyse_level` in place."""
    rows, columns = corner.shape
    upright = np.empty((rows, columns), np.int64)
    _interleave(corner, upright)
    _synthesise_lines(upright)
    halves = np.empty((columns, rows), np.int64)
    _transpose(upright, halves)
    turned = np.empty((columns, rows), np.int64)
    _interleave(halves, turned)
    _synthesise_lines(turned)
    _transpose(turned, corner)


@compiled
def _analyse(coefficients: NDArray[np.int64], levels: int) -> None:
    rows, columns = coefficients.shape
    for _ in range(levels):
        analyse_level(coefficients[:rows, :columns])
        rows, columns = (rows + 1) // 2, (columns + 1) // 2


@compiled
def _synthesise(coefficients: NDArray[np.int64], levels: int) -> None:
    rows, columns = coefficients.shape
    for level in range(levels - 1, -1, -1):
        step = 1 << level
        synthesise_level(coefficients[: (rows + step - 1) // step, : (columns + step - 1) // step])


def forward(pixels: NDArray[Any], levels: int) -> NDArray[np.int64]:
    """Coefficients (rows, columns) int64 of integer pixels (rows, columns), in fixed point, Mallat layout."""
    coefficients = np.ascontiguousarray(pixels, dtype=np.int64) << FRACTION_BITS
    _analyse(coefficients, levels)
    return coefficients


def inverse(coefficients: NDArray[np.int64], levels: int, low: int, high: int) -> NDArray[np.int64]:
    """Integer pixels (rows, columns), rounded half up and clipped to [low, high]; overwrites `coefficients`."""
    _synthesise(coefficients, levels)
    return round_and_clip(coefficients, low, high)


@compiled
def round_and_clip(samples: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """Round fixed-point samples half up to integers and clip them."""
    pixels = np.empty(samples.shape, np.int64)
    rows, columns = samples.shape
    for i in range(rows):
        for j in range(columns):
            value = (samples[i, j] + HALF) >> FRACTION_BITS
            pixels[i, j] = min(max(value, low), high)
    return pixels
