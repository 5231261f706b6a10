"""The encoder's fixed part: CDF 9/7 wavelet of a small picture, then an orthonormal DCT of the LL that is left.

Coefficients are kept by band: the LL, and for each level from the coarsest LH (right), HL (below), HH. Everything is a
product of matrices in float32, made once from the lifting steps of Daubechies and Sweldens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.models.square import Grid

BANDS = 3  # of a level
_LIFTS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_SCALE = 1.149604398860241  # makes the transform nearly orthonormal: one step for all bands


@dataclass(slots=True)
class Coefficients:
    """A picture's coefficients."""

    low: NDArray[np.float32]  # (base_rows, base_columns), DCT of the LL
    bands: NDArray[np.float32]  # (levels, BANDS, rows / 2, columns / 2); coarse bands fill the upper left corner


def analyse(picture: NDArray[np.float32], grid: Grid) -> Coefficients:
    """Coefficients of a picture (grid.rows, grid.columns)."""
    bands = np.zeros((grid.levels, BANDS, grid.rows // 2, grid.columns // 2), np.float32)
    low: NDArray[Any] = picture
    for level in reversed(range(grid.levels)):
        rows, columns = grid.base_rows << level, grid.base_columns << level
        whole = _level(2 * rows)[0] @ low @ _level(2 * columns)[0].T
        low = whole[:rows, :columns]
        parts = (whole[:rows, columns:], whole[rows:, :columns], whole[rows:, columns:])
        for band, values in enumerate(parts):
            bands[level, band, :rows, :columns] = values
    low = _cosines(grid.base_rows) @ low @ _cosines(grid.base_columns).T
    return Coefficients(low.astype(np.float32), bands)


def synthesise(coefficients: Coefficients, grid: Grid) -> NDArray[np.float32]:
    """The picture of coefficients, the inverse of `analyse`."""
    low: NDArray[Any] = _cosines(grid.base_rows).T @ coefficients.low @ _cosines(grid.base_columns)
    for level in range(grid.levels):
        rows, columns = grid.base_rows << level, grid.base_columns << level
        right, below, corner = coefficients.bands[level, :, :rows, :columns]
        whole = np.block([[low, right], [below, corner]])
        low = _level(2 * rows)[1] @ whole @ _level(2 * columns)[1].T
    return np.asarray(low, np.float32)


@cache
def _level(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrices of one level on `size` samples, low half first, and back."""
    rows: NDArray[Any] = np.eye(size)
    even, odd = rows[0::2].copy(), rows[1::2].copy()
    for number, factor in enumerate(_LIFTS):
        if number % 2 == 0:  # symmetric extension: the neighbour past the end is the last one again
            odd += factor * (even + np.vstack([even[1:], even[-1:]]))
        else:
            even += factor * (odd + np.vstack([odd[:1], odd[:-1]]))
    forward = np.vstack([even * _SCALE, odd / _SCALE])
    return forward.astype(np.float32), np.linalg.inv(forward).astype(np.float32)


@cache
def _cosines(size: int) -> NDArray[np.float32]:
    places = np.arange(size)
    matrix: NDArray[Any] = np.cos(np.pi * (places + 0.5) * places[:, None] / size) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)
