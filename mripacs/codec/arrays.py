"""Input checks that all codecs share, and stacks of frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.payload import SAMPLE_TYPES, Shape
from mripacs.core.errors import CodecInputError

MAX_SIDE = 1 << 20
COLOUR_SAMPLES = 3


def checked_frames(frames: NDArray[Any], *, colour: bool) -> tuple[NDArray[Any], Shape]:
    """The frames in native byte order, C order, with their shape.

    frames : (n, rows, columns) of uint8, uint16 or int16, n >= 1; with `colour` also (n, rows, columns, 3) of uint8.
    Raises CodecInputError for anything else.
    """
    if not isinstance(frames, np.ndarray):
        raise CodecInputError(f"frames must be a numpy array, not {type(frames).__name__}")
    dtype = frames.dtype.newbyteorder("=")
    if dtype not in SAMPLE_TYPES:
        raise CodecInputError(f"samples must be uint8, uint16 or int16, not {frames.dtype}")
    is_colour = frames.ndim == 4 and frames.shape[-1] == COLOUR_SAMPLES and dtype == np.uint8 and colour
    if not is_colour and frames.ndim != 3:
        raise CodecInputError(f"frames of shape {frames.shape} cannot be coded; (n, rows, columns) can")
    count, rows, columns = frames.shape[:3]
    if not (count and 0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        raise CodecInputError(f"frames of shape {frames.shape} are empty or larger than {MAX_SIDE} on a side")
    native = np.ascontiguousarray(frames, dtype=dtype)
    return native, Shape(rows, columns, dtype, COLOUR_SAMPLES if is_colour else 1)
