"""The preview codec `sae`: a slice in at most so many bytes, and a picture of it back.

offset  size  field
0       1     magic 0xA (high 4 bits); bit 0: the low end of the range is given
1       1     first byte of the model's SHA-256
2       1     grid: base_rows - 1 (3 bits), base_columns - 1 (3 bits), levels - 2 (2 bits)
3       1     step index
4       1     aspect + 128
5       2     high end of the range, float16 of a quarter of it, little endian
7       0, 2  low end, likewise, unless it is 0
        n     range-coded numbers; none for a constant slice
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import CodecInputError, PayloadError
from mripacs.models import latent
from mripacs.models.model import PreviewModel
from mripacs.models.network import repair
from mripacs.models.search import finest_within
from mripacs.models.square import SIDE, Grid, from_square, shape_of, to_square

SMALL_BYTES, LARGE_BYTES = 120, 400  # what previews take: for lists, and for looking at
SMALLEST_BYTES = 48  # the LL of a picture with strong contrast at the coarsest step, and the header
_MAGIC, _HAS_LOW = 0xA0, 1
_HEAD = struct.Struct("<BBBBBe")
RANGE_SCALE = 4.0  # a float16 ends at 65504, stored values at 65535


@dataclass(frozen=True, slots=True)
class Decoded:
    """A preview's picture."""

    picture: NDArray[np.float32]  # (grid rows, grid columns), 0 to 1, on the grid
    low: float  # stored value that 0 stands for
    high: float
    aspect: int  # square.ASPECT_STEPS * log2(rows / columns)

    def values(self, rows: int, columns: int) -> NDArray[np.float32]:
        """Stored values at the slice's own shape."""
        return from_square(self.picture, self.low, self.high, rows, columns)

    def grey(self) -> NDArray[np.uint8]:
        """The picture for a screen: at the slice's aspect, 0 to 255 over its range."""
        rows, columns = shape_of(self.aspect, max(self.picture.shape))
        return np.rint(from_square(self.picture, 0, 255, rows, columns)).astype(np.uint8)


def encode(pixels: NDArray[Any], model: PreviewModel, budget: int = SMALL_BYTES) -> bytes:
    """A slice (rows, columns) of real numbers in at most `budget` bytes.

    Raises CodecInputError for other arrays, and for a budget below SMALLEST_BYTES.
    """
    if budget < SMALLEST_BYTES:
        raise CodecInputError(f"a preview takes {SMALLEST_BYTES} bytes at least, {budget} are allowed")
    square = to_square(pixels)
    low, high = range_code(square.low), range_code(square.high)
    head = (model.tag, _grid_byte(square.grid))
    tail = struct.pack("<e", low) if low else b""
    if high <= low:  # constant, or within one step of the range's float16
        return _HEAD.pack(_MAGIC | bool(tail), *head, 0, square.aspect + 128, low) + tail
    room = budget - _HEAD.size - len(tail)
    step, data = finest_within(latent.coefficients_of(square.pixels, square.grid), square.grid, model.odds, room)
    return _HEAD.pack(_MAGIC | bool(tail), *head, step, square.aspect + 128, high) + tail + data


def decode(payload: bytes, model: PreviewModel) -> Decoded:
    """The picture of a payload. Raises PayloadError for damage and for another model's payload."""
    if len(payload) < _HEAD.size or payload[0] & 0xFE != _MAGIC:
        raise PayloadError("these bytes are no preview")
    magic, tag, grid_byte, step, aspect, high = _HEAD.unpack_from(payload)
    if tag != model.tag:
        raise PayloadError("another model made this preview")
    start, low = _HEAD.size, 0.0
    if magic & _HAS_LOW:
        if len(payload) < start + 2:
            raise PayloadError("the preview ends inside its header")
        (low,) = struct.unpack_from("<e", payload, start)
        start += 2
    grid = Grid((grid_byte >> 5) + 1, (grid_byte >> 2 & 7) + 1, (grid_byte & 3) + 2)
    if max(grid.rows, grid.columns) > SIDE or not np.isfinite([low, high]).all():
        raise PayloadError("the preview's header is damaged")
    ends = (float(low) * RANGE_SCALE, float(high) * RANGE_SCALE)
    if high <= low:
        return Decoded(np.zeros((grid.rows, grid.columns), np.float32), *ends, aspect - 128)
    numbers = latent.decode(payload[start:], grid, step, model.odds)
    picture = repair(latent.reconstruct(numbers), step, model.weights)
    return Decoded(np.clip(picture, 0, 1), *ends, aspect - 128)


def _grid_byte(grid: Grid) -> int:
    return (grid.base_rows - 1) << 5 | (grid.base_columns - 1) << 2 | (grid.levels - 2)


def range_code(value: float) -> float:
    """A stored value as a payload holds it. Raises CodecInputError for one that is too large."""
    code = float(np.float16(value / RANGE_SCALE)) if abs(value) < 65504 * RANGE_SCALE else np.inf
    if not np.isfinite(code):
        raise CodecInputError(f"a preview's values go up to {65504 * RANGE_SCALE:g}")
    return code
