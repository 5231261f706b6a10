"""Training of the fast coder, first half: logistic regressions for its two linear forms, by band class.

Float throughout; only the rounded integers go into the tables. Used by `fast_train`, never by a codec.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import fast_side
from mripacs.codec.kwavelet.bands import Band, corner, layout, subbands
from mripacs.codec.kwavelet.fast_band import LARGEST_NEIGHBOUR
from mripacs.codec.kwavelet.fast_frame import Forms, fill_maps
from mripacs.codec.kwavelet.fast_shapes import (
    AROUND,
    CLASSES,
    LEAN_ABOVE,
    LEAN_INPUTS,
    LEAN_LEFT,
    LEAN_SISTERS,
    LEVEL_CLASSES,
    LOGIT_BITS,
    PATCH,
    PATCH_SIZE,
    SIZE_ABOVE,
    SIZE_ACTIVITY,
    SIZE_INPUTS,
    SIZE_LEFT,
    SIZE_ONE,
    SIZE_PARENT,
    SIZE_SISTERS,
)
from mripacs.codec.kwavelet.fit import logistic
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.lifting import synthesise_level
from mripacs.codec.kwavelet.quantiser import dequantise
from mripacs.codec.kwavelet.steps import step_table
from mripacs.core.jit import narrow

ABOVE = ((-1, 0), (-1, -1), (-1, 1), (-2, 0))  # N, NW, NE, NN
LEFT = ((0, -1), (0, -2))  # W, WW
ROWS_PER_BAND = 2000  # coefficients taken from a band, so that large bands do not drown small ones
LOGS = np.array([fast_side.logarithm(narrow(v)) for v in range(LARGEST_NEIGHBOUR + 1)], np.float32)


@dataclass(frozen=True, slots=True)
class Sample:
    """Coefficients of one class: what they are, and what the coder could know of them."""

    index: NDArray[np.float32]  # (n,) quantised
    size: NDArray[np.float32]  # (n, SIZE_INPUTS)
    lean: NDArray[np.float32]  # (n, LEAN_INPUTS)


def fit(frames: list[Quantised]) -> Forms:
    """Linear forms fitted to quantised frames."""
    groups: list[list[Sample]] = [[] for _ in range(CLASSES)]
    generator = np.random.default_rng(0)
    for frame in frames:
        for band_class, sample in samples(frame, generator):
            groups[band_class].append(sample)
    size, lean = np.zeros((CLASSES, SIZE_INPUTS)), np.zeros((CLASSES, LEAN_INPUTS))
    for band_class, parts in enumerate(groups):
        index = np.concatenate([part.index for part in parts])
        nonzero = index != 0
        size[band_class] = _regress(np.concatenate([part.size for part in parts]), nonzero)
        lean[band_class] = _regress(np.concatenate([part.lean for part in parts])[nonzero], index[nonzero] > 0)
    unit = 1 << LOGIT_BITS
    return Forms(np.round(size * unit).astype(np.float32), np.round(lean * unit).astype(np.float32))


def _regress(inputs: NDArray[np.float32], outcome: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logistic regression on inputs brought to one scale, since gaps and logarithms are not."""
    scale = np.maximum(np.sqrt(np.mean(np.square(inputs, dtype=np.float64), axis=0)), 1e-9)
    weights: NDArray[np.float64] = logistic(inputs / scale, outcome) / scale
    return weights


def samples(frame: Quantised, generator: np.random.Generator) -> list[tuple[int, Sample]]:
    """Every detail band's class and a sample of its coefficients."""
    rows, columns = frame.indices.shape
    steps = step_table(rows, columns)[frame.step]
    decoded = np.empty((rows, columns), np.int64)
    dequantise(frame.indices, layout(rows, columns), steps, decoded)
    found = []
    for b, band in enumerate(subbands(rows, columns)[1:], start=1):
        height, width = corner(rows, columns, band.level)
        low = fast_side.pad_low_pass(decoded[:height, :width].astype(np.float64), height, width, float(steps[b]))
        band_class = LEVEL_CLASSES * band.orientation + min(band.level, LEVEL_CLASSES) - 1
        found.append((band_class, _sample(frame.indices, b, low, generator)))
        if band.orientation == 2:
            height, width = corner(rows, columns, band.level - 1)
            synthesise_level(decoded[:height, :width])
    return found


def _sample(indices: NDArray[np.int32], b: int, low: NDArray[np.float32], generator: np.random.Generator) -> Sample:
    bands = subbands(*indices.shape)
    band = bands[b]
    values = indices[band.region].astype(np.float32)
    y, x = np.divmod(generator.permutation(values.size)[:ROWS_PER_BAND], values.shape[1])
    size, lean = np.zeros((y.size, SIZE_INPUTS), np.float32), np.zeros((y.size, LEAN_INPUTS), np.float32)
    for k in range(PATCH_SIZE):
        gap = low[y + k // PATCH, x + k % PATCH] - low[y + fast_side.MARGIN, x + fast_side.MARGIN]
        lean[:, k] = np.clip(gap, -fast_side.LARGEST_GAP, fast_side.LARGEST_GAP)
    size[:, :PATCH_SIZE] = np.abs(lean[:, :PATCH_SIZE])
    size[:, SIZE_ACTIVITY] = _activity(low, band, values.shape)[y, x]
    if b > 3:
        logs, _ = _maps(indices[bands[b - 3].region])
        size[:, SIZE_PARENT] = logs[np.minimum(y >> 1, logs.shape[0] - 1), np.minimum(x >> 1, logs.shape[1] - 1)]
    for k in range(band.orientation):
        logs, signed = (
            _fitted(plane, values.shape) for plane in _maps(indices[bands[b - band.orientation + k].region])
        )
        size[:, SIZE_SISTERS + k] = logs[y, x]
        for place in range(AROUND):
            lean[:, LEAN_SISTERS + AROUND * k + place] = signed[y + place // 3, x + place % 3]
    _fill_neighbours(values, y, x, size, lean)
    return Sample(values[y, x], size, lean)


def _maps(band: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logarithms of a band's 3 x 3 sums, and its clipped indices with a border of one."""
    bordered = (band.shape[0] + 2, band.shape[1] + 2)
    logs, signed = np.empty(band.shape, np.float32), np.empty(bordered, np.float32)
    fill_maps(np.ascontiguousarray(band), np.empty(bordered, np.float32), signed, logs)
    return logs, signed


def _activity(low: NDArray[np.float32], band: Band, shape: tuple[int, ...]) -> NDArray[np.float32]:
    activity = np.zeros(shape, np.float32)
    fast_side.add_activity(low, band.orientation, narrow(1), activity)
    return activity


def _fitted(plane: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A sister's plane with zeros where the band has more rows or columns, and room for a border of one."""
    fitted = np.zeros((shape[0] + 3, shape[1] + 3), np.float32)
    part = plane[: shape[0] + 3, : shape[1] + 3]
    fitted[: part.shape[0], : part.shape[1]] = part
    return fitted


def _fill_neighbours(
    values: NDArray[np.float32],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    size: NDArray[np.float32],
    lean: NDArray[np.float32],
) -> None:
    padded = np.pad(values, ((2, 0), (3, 3)))

    def at(dy: int, dx: int) -> NDArray[np.float32]:
        return padded[y + 2 + dy, x + 3 + dx]

    def log(values: NDArray[np.float32]) -> NDArray[np.float32]:
        logs: NDArray[np.float32] = LOGS[np.minimum(np.abs(values), LARGEST_NEIGHBOUR).astype(int)]
        return logs

    for k, place in enumerate(ABOVE):
        size[:, SIZE_ABOVE + k], lean[:, LEAN_ABOVE + k] = log(at(*place)), np.clip(at(*place), -3, 3)
    for k, place in enumerate(LEFT):
        size[:, SIZE_LEFT + k], lean[:, LEAN_LEFT + k] = log(at(*place)), np.clip(at(*place), -3, 3)
    around = [np.minimum(np.abs(at(dy, dx)), LARGEST_NEIGHBOUR) for dy in (-2, -1) for dx in range(-3, 4)]
    size[:, SIZE_ABOVE + 4] = [fast_side.logarithm(narrow(total)) for total in np.sum(around, axis=0)]
    size[:, SIZE_ONE] = 1
