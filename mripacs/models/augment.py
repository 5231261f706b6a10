"""Variations of a slice for training: other views, contrasts, coils and noise, so that few subjects stand for many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mripacs.models.square import grid_for, resize

_SMALLEST_VIEW = 0.45  # of a side: as when a mosaic's tile or a joint fills the picture
_LARGEST_TURN = 25.0  # degrees


def vary(pixels: NDArray[Any], random: np.random.Generator) -> NDArray[np.float32]:
    """A picture on its grid, from 0 to 1, made of a slice (rows, columns), at random; never constant."""
    view = _view(pixels.astype(np.float32), random)
    grid = grid_for(*view.shape)
    square = _scaled(resize(view, grid.rows, grid.columns))
    if random.random() < 0.5:
        square = square.T
    square = square[:: random.choice((-1, 1)), :: random.choice((-1, 1))]
    if random.random() < 0.5:
        square = _turned(square, random.uniform(-_LARGEST_TURN, _LARGEST_TURN))
    if random.random() < 0.3:
        rows, columns = square.shape
        square = np.multiply(square, _coil(rows, columns, random), dtype=np.float32)
    square = _contrast(_scaled(square), random)
    return np.ascontiguousarray(square, np.float32)


def _view(pixels: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """The whole slice, or a part of it."""
    if random.random() < 0.5:
        return pixels
    rows, columns = (max(8, int(side * random.uniform(_SMALLEST_VIEW, 1))) for side in pixels.shape)
    top = random.integers(0, max(1, pixels.shape[0] - rows + 1))
    left = random.integers(0, max(1, pixels.shape[1] - columns + 1))
    part = pixels[top : top + rows, left : left + columns]
    return part if part.max() > part.min() else pixels


def _turned(square: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(square))
    return np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC))


def _coil(rows: int, columns: int, random: np.random.Generator) -> NDArray[np.float32]:
    """A smooth sensitivity, as of a surface coil."""
    grid = resize(random.uniform(0.4, 1.6, (3, 3)).astype(np.float32), rows, columns)
    return np.clip(grid, 0.2, 2.0)


def _contrast(square: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    kind = random.random()
    if kind < 0.35:
        return square
    if kind < 0.8:
        return np.asarray(square ** random.uniform(0.5, 1.8), np.float32)
    if kind < 0.9:  # a bright spot sets the range
        return np.asarray(square * random.uniform(0.5, 1), np.float32)
    turning = random.uniform(0.3, 0.8)  # another weighting: what is bright becomes dark, air stays dark
    folded = np.where(square < turning, square / turning, (1 - square) / (1 - turning))
    return np.asarray(folded, np.float32)


def _scaled(square: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = square.min(), square.max()
    return np.asarray((square - low) / max(high - low, np.float32(1e-6)), np.float32)
