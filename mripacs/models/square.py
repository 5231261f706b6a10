"""Any slice as a small picture with values from 0 to 1 on a grid that the transform takes, and back.

A grid has (base << levels) rows and columns, bases from 1 to 7, at most 128 pixels on its longer side. Slices of 64,
80, 96, 112 or 128 pixels keep their own; all others are resized, and what the grid does to their aspect is undone when
they are shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mripacs.core.errors import CodecInputError

SIDE = 128  # longest side
ASPECT_STEPS = 16  # an octave of rows/columns in as many steps: 2 % at most off
_ASPECT_LIMIT = 127
_LONGEST = {base << levels: (base, levels) for levels in (2, 3, 4) for base in (4, 5, 6, 7)} | {SIDE: (4, 5)}


@dataclass(frozen=True, slots=True)
class Grid:
    """Shape of a small picture: (base_rows << levels, base_columns << levels)."""

    base_rows: int
    base_columns: int
    levels: int

    @property
    def rows(self) -> int:
        """Rows of the picture."""
        return self.base_rows << self.levels

    @property
    def columns(self) -> int:
        """Columns of the picture."""
        return self.base_columns << self.levels


@dataclass(frozen=True, slots=True)
class Square:
    """A slice made small."""

    pixels: NDArray[np.float32]  # (grid.rows, grid.columns), from 0 to 1
    grid: Grid
    low: float  # stored value that 0 stands for
    high: float  # stored value that 1 stands for
    aspect: int  # ASPECT_STEPS * log2(rows / columns) of the slice, rounded, -127 to 127


def grid_for(rows: int, columns: int) -> Grid:
    """The grid for a slice of that shape: of its own size where there is one, never with a longer side above SIDE."""
    longer, shorter = max(rows, columns), min(rows, columns)
    side = min(_LONGEST, key=lambda each: (abs(each - min(longer, SIDE)), each))
    base, levels = _LONGEST[side]
    other = min(base, max(1, round(shorter * side / longer / (1 << levels))))
    return Grid(base, other, levels) if rows >= columns else Grid(other, base, levels)


def to_square(pixels: NDArray[Any]) -> Square:
    """Make a slice (rows, columns) of real numbers small. Raises CodecInputError for other arrays."""
    if pixels.ndim != 2 or 0 in pixels.shape or pixels.dtype.kind not in "iuf":
        raise CodecInputError(f"a preview is made of (rows, columns) of numbers, not {pixels.shape} {pixels.dtype}")
    values = pixels.astype(np.float32)
    if not np.isfinite(values).all():
        raise CodecInputError("a preview is made of finite numbers only")
    grid = grid_for(*pixels.shape)
    small = np.clip(resize(values, grid.rows, grid.columns), values.min(), values.max())
    low, high = float(small.min()), float(small.max())
    scaled = (small - low) / (high - low) if high > low else np.zeros_like(small)
    return Square(scaled.astype(np.float32), grid, low, high, _aspect(*pixels.shape))


def from_square(square: NDArray[np.float32], low: float, high: float, rows: int, columns: int) -> NDArray[np.float32]:
    """Stored values (rows, columns) of a small picture whose values go from 0 to 1."""
    scaled = np.clip(resize(square, rows, columns), 0, 1)
    return (low + scaled * (high - low)).astype(np.float32)


def shape_of(aspect: int, longest: int = SIDE) -> tuple[int, int]:
    """Rows and columns of a picture of that aspect whose longer side is `longest` pixels."""
    ratio = 2.0 ** (aspect / ASPECT_STEPS)
    rows, columns = (longest, longest / ratio) if ratio >= 1 else (longest * ratio, longest)
    return max(1, round(rows)), max(1, round(columns))


def resize(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Bicubic, with a wider kernel where it shrinks, so that nothing aliases."""
    if values.shape == (rows, columns):
        return values
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC))


def _aspect(rows: int, columns: int) -> int:
    steps = round(ASPECT_STEPS * math.log2(rows / columns))
    return max(-_ASPECT_LIMIT, min(_ASPECT_LIMIT, steps))
