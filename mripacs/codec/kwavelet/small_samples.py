"""Training data of the `small` coder's nets: coefficients of quantised frames with everything a net sees of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import side
from mripacs.codec.kwavelet.bands import corner, layout, subbands
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.lifting import synthesise_level
from mripacs.codec.kwavelet.quantiser import dequantise
from mripacs.codec.kwavelet.small_bands import activity_of, surroundings
from mripacs.codec.kwavelet.small_inputs import compress, fill_rows, quiet_places
from mripacs.codec.kwavelet.small_shapes import NEAR, NEAR_LIMIT, ORIENTATIONS, UNIT, WINDOWS, outside_inputs
from mripacs.codec.kwavelet.steps import step_table
from mripacs.core.jit import compiled, wide

LARGEST_INDEX = 32767
ABOVE, BESIDE = 5, 6  # reach of the outer window
INNER_ABOVE, INNER_BESIDE = 3, 3


@dataclass(frozen=True, slots=True)
class Samples:
    """Coefficients of one orientation; arrays of one row each."""

    outside: NDArray[np.int8]  # (n, outside_inputs)
    near: NDArray[np.int8]  # (n, 10), clipped values
    windows: NDArray[np.int8]  # (n, WINDOWS), compressed sums
    band: NDArray[np.int8]  # (n, 2): level, activity of the level before
    index: NDArray[np.int16]  # (n,)
    weight: NDArray[np.float32]  # (n,): frames of few coefficients count almost as much as others

    def __len__(self) -> int:
        return len(self.index)


def collect(frames: Iterable[Quantised], table: NDArray[np.int16], keep: float, seed: int) -> list[Samples]:
    """Samples by orientation: of each band the places that are not quiet, a share `keep` of them at random."""
    random = np.random.default_rng(seed)
    parts: list[list[Samples]] = [[] for _ in ORIENTATIONS]
    for frame in frames:
        for orientation, samples in _of_frame(frame, table, keep, random):
            parts[orientation].append(samples)
    return [_joined(of_one) for of_one in parts]


def _joined(parts: list[Samples]) -> Samples:
    return Samples(*(np.concatenate([getattr(part, name) for part in parts]) for name in Samples.__slots__))


def _of_frame(
    frame: Quantised, table: NDArray[np.int16], keep: float, random: np.random.Generator
) -> Iterator[tuple[int, Samples]]:
    rows, columns = frame.indices.shape
    bands, steps = layout(rows, columns), step_table(rows, columns)[frame.step]
    decoded = np.empty((rows, columns), np.int64)
    dequantise(frame.indices, bands, steps, decoded)
    weight = (np.count_nonzero(frame.indices) + 100.0) ** -0.5
    activity = 0
    for b, band in enumerate(subbands(rows, columns)[1:], start=1):
        height, width = corner(rows, columns, band.level)
        if band.orientation == 0:
            padded = side.pad_low_pass(decoded[:height, :width])
            activity = activity_of(frame.indices, b, table)
        around = surroundings(frame.indices, b, padded, int(steps[b]))
        indices = np.ascontiguousarray(frame.indices[band.region])
        inputs = np.empty((outside_inputs(band.orientation), indices.size), np.float32)
        quiet = np.empty(indices.size, np.bool_)
        fill_rows(around, band.orientation, 0, len(indices), table, inputs)
        quiet_places(inputs, band.orientation, quiet)
        near, windows = np.empty((indices.size, len(NEAR)), np.int8), np.empty((indices.size, WINDOWS), np.int8)
        _fill_near(indices, table, near, windows)
        chosen = np.flatnonzero(~(quiet & (windows[:, 1] == 0)) & (random.random(indices.size) < keep))
        yield (
            band.orientation,
            Samples(
                inputs[:, chosen].T.astype(np.int8),
                near[chosen],
                windows[chosen],
                np.tile(np.array([band.level, activity], np.int8), (len(chosen), 1)),
                np.clip(indices.ravel()[chosen], -LARGEST_INDEX, LARGEST_INDEX).astype(np.int16),
                np.full(len(chosen), weight, np.float32),
            ),
        )
        if band.orientation == ORIENTATIONS[-1]:
            height, width = corner(rows, columns, band.level - 1)
            synthesise_level(decoded[:height, :width])


_NEAR = np.array(NEAR)


@compiled
def _fill_near(
    indices: NDArray[np.int32], table: NDArray[np.int16], near: NDArray[np.int8], windows: NDArray[np.int8]
) -> None:
    """The near coefficients and the window sums of every place of a band."""
    rows, columns = indices.shape
    plane = np.zeros((rows + ABOVE, columns + 2 * BESIDE), np.int64)
    plane[ABOVE:, BESIDE : BESIDE + columns] = indices
    for i in range(rows):
        for j in range(columns):
            place, y, x = i * columns + j, i + ABOVE, j + BESIDE
            for k in range(_NEAR.shape[0]):
                near[place, k] = min(max(plane[y + _NEAR[k, 0], x + _NEAR[k, 1]], -NEAR_LIMIT), NEAR_LIMIT)
            inner, outer = wide(0), wide(0)
            for a in range(-ABOVE, 1):
                for b in range(-BESIDE, BESIDE + 1 if a < 0 else 0):
                    size = abs(plane[y + a, x + b])
                    outer += size
                    if a >= -INNER_ABOVE and abs(b) <= INNER_BESIDE:
                        inner += size
            windows[place, 0] = compress(table, UNIT * inner)
            windows[place, 1] = compress(table, UNIT * outer)
