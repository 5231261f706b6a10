"""Training, first half: logistic regressions for lean and size, by band class.

Float throughout; only the rounded integers go into the tables. Used by `train`, never by a codec.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import side
from mripacs.codec.kwavelet.bands import corner, layout, subbands
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.lifting import synthesise_level
from mripacs.codec.kwavelet.quantiser import dequantise
from mripacs.codec.kwavelet.shapes import CLASSES, FEATURES, LARGEST, LEVEL_CLASSES, NEIGHBOURS
from mripacs.codec.kwavelet.steps import step_table
from mripacs.codec.kwavelet.tables import Tables

PATCH_SIZE = side.PATCH * side.PATCH
NEIGHBOUR_OFFSETS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
WINDOW_OFFSETS = [(dy, dx) for dy in range(-3, 1) for dx in range(-3, 4 if dy else 0)]
RIDGE = 1e-4
NEWTON_STEPS = 8
ROWS_PER_BAND = 2000  # coefficients taken from a band, so that large bands do not drown small ones


@dataclass(frozen=True, slots=True)
class Sample:
    """Coefficients of one class: what they are, and what the coder could know of them."""

    index: NDArray[np.float64]  # (n,) quantised
    signed: NDArray[np.float64]  # (n, 25 + 18 + 6) low-pass differences, sisters, neighbours, in steps
    unsigned: NDArray[np.float64]  # (n, FEATURES - 1) features of the size logit but 1


def fit(frames: list[Quantised], tables: Tables) -> Tables:
    """`tables` with lean and size fitted to quantised frames."""
    groups: list[list[Sample]] = [[] for _ in range(CLASSES)]
    generator = np.random.default_rng(0)
    for frame in frames:
        for group, sample in _samples(frame, generator):
            groups[group].append(sample)
    lean, size = np.zeros((CLASSES, PATCH_SIZE + 18 + NEIGHBOURS)), np.zeros((CLASSES, PATCH_SIZE + FEATURES))
    for group, parts in enumerate(groups):
        index, signed, unsigned = (np.concatenate([getattr(p, name) for p in parts]) for name in Sample.__slots__)
        clipped = np.clip(signed, -side.CLIPPED_STEPS, side.CLIPPED_STEPS)
        nonzero = index != 0
        lean[group] = logistic(clipped[nonzero], index[nonzero] > 0)
        features = np.log2(1 + 2 * np.minimum(unsigned, LARGEST))
        size[group] = logistic(
            np.column_stack([np.abs(clipped[:, :PATCH_SIZE]), features, np.ones(len(index))]), nonzero
        )
    patch, sisters, neighbours = np.split(lean, [PATCH_SIZE, PATCH_SIZE + 18], axis=1)
    return replace(
        tables,
        lean_patch=_integers(patch),
        lean_sisters=_integers(sisters).reshape(CLASSES, 2, 9),
        lean_neighbours=_integers(neighbours),
        size_patch=_integers(size[:, :PATCH_SIZE]),
        size_features=_integers(size[:, PATCH_SIZE:]),
    )


def _integers(weights: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(weights * (1 << side.WEIGHT_BITS)).astype(np.int32)


def logistic(inputs: NDArray[np.float64], outcome: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of a logistic regression without intercept, by Newton's method with a little ridge."""
    weights = np.zeros(inputs.shape[1])
    ridge = RIDGE * len(outcome) * float(np.mean(inputs**2))
    for _ in range(NEWTON_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(inputs @ weights, -20, 20)))
        spread = np.maximum(probability * (1 - probability), 1e-4)
        curvature = (inputs * spread[:, None]).T @ inputs + ridge * np.eye(len(weights))
        weights += np.linalg.solve(curvature, inputs.T @ (outcome - probability) - ridge * weights)
    return weights


def _samples(frame: Quantised, generator: np.random.Generator) -> list[tuple[int, Sample]]:
    """Every detail band's class and sample."""
    rows, columns = frame.indices.shape
    table, steps = layout(rows, columns), step_table(rows, columns)[frame.step]
    decoded = np.empty((rows, columns), np.int64)
    dequantise(frame.indices, table, steps, decoded)
    found = []
    for b, band in enumerate(subbands(rows, columns)[1:], start=1):
        if band.orientation == 0:
            height, width = corner(rows, columns, band.level)
            padded = side.pad_low_pass(decoded[:height, :width])
        group = LEVEL_CLASSES * band.orientation + min(band.level, LEVEL_CLASSES) - 1
        found.append((group, _sample(frame, b, padded, float(steps[b]), generator)))
        if band.orientation == 2:
            height, width = corner(rows, columns, band.level - 1)
            synthesise_level(decoded[:height, :width])
    return found


def _sample(frame: Quantised, b: int, padded: NDArray[np.int64], step: float, generator: np.random.Generator) -> Sample:
    bands = subbands(*frame.indices.shape)
    band = bands[b]
    indices = frame.indices[band.region].astype(np.float64)
    shape = indices.shape
    signed = np.zeros((*shape, PATCH_SIZE + 18 + NEIGHBOURS))
    _fill_patch(signed, padded, step)
    sisters = np.zeros(shape, np.int32)
    for k, sister in enumerate(bands[b - band.orientation : b]):
        values = frame.indices[sister.region]
        side.add_sister(values, np.zeros(9, np.int32), sisters, np.zeros(shape, np.int64))
        signed[..., PATCH_SIZE + 9 * k : PATCH_SIZE + 9 * k + 9] = _around(values, shape)
    for k, (dy, dx) in enumerate(NEIGHBOUR_OFFSETS):
        signed[..., PATCH_SIZE + 18 + k] = _shifted(indices, dy, dx)
    parent = side.parent_map(frame.indices[bands[b - 3].region], *shape) if b > 3 else np.zeros(shape, np.int32)
    activity, scratch, zeros = np.empty(shape, np.int32), np.empty(shape, np.int64), np.zeros(PATCH_SIZE, np.int32)
    side.low_pass_maps(padded, band.orientation, int(step), zeros, zeros, activity, scratch, scratch)
    causal = [np.abs(_shifted(indices, dy, dx)) for dy, dx in NEIGHBOUR_OFFSETS]
    window = np.sum([np.abs(_shifted(indices, dy, dx)) for dy, dx in WINDOW_OFFSETS], axis=0)
    unsigned = np.stack([*causal, window, parent, sisters, activity], axis=-1)
    chosen = generator.permutation(indices.size)[:ROWS_PER_BAND]
    return Sample(
        indices.ravel()[chosen],
        signed.reshape(indices.size, -1)[chosen],
        unsigned.reshape(indices.size, -1)[chosen].astype(np.float64),
    )


def _fill_patch(signed: NDArray[np.float64], padded: NDArray[np.int64], step: float) -> None:
    rows, columns = signed.shape[:2]
    y = np.minimum(np.arange(rows), padded.shape[0] - 5)
    x = np.minimum(np.arange(columns), padded.shape[1] - 5)
    centre = padded[np.ix_(y + 2, x + 2)]
    for k in range(PATCH_SIZE):
        signed[..., k] = (padded[np.ix_(y + k // 5, x + k % 5)] - centre) / step


def _shifted(values: NDArray[np.float64], dy: int, dx: int) -> NDArray[np.float64]:
    """values[i + dy, j + dx], zero outside."""
    padded = np.pad(values, 3)
    return padded[3 + dy : 3 + dy + values.shape[0], 3 + dx : 3 + dx + values.shape[1]]


def _around(sister: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The 3 x 3 of a sister band around each place of a band of `shape`, (rows, columns, 9)."""
    padded = np.zeros((shape[0] + 3, shape[1] + 3))
    padded[1 : sister.shape[0] + 1, 1 : sister.shape[1] + 1] = sister[: shape[0] + 2, : shape[1] + 2]
    return np.stack([padded[a : a + shape[0], c : c + shape[1]] for a in range(3) for c in range(3)], axis=-1)
