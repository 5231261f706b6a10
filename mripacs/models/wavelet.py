"""The archive's own codec as a preview codec: for comparison, and where it is better than the model.

offset  size  field
0       1     magic 0xC0
1       1     aspect + 128
2       2, 2  high and low end of the range, float16 of a quarter, little endian
        n     payload of codec kwavelet: the small picture in 8 bits
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs import codec
from mripacs.core.errors import CodecInputError, PayloadError
from mripacs.models.codec import RANGE_SCALE, Decoded, range_code
from mripacs.models.square import SIDE, to_square

MAGIC = 0xC0
_HEAD = struct.Struct("<BBee")
_ROUNDS = 7  # of the bisection: the error is found to 0.8 %


def encode(pixels: NDArray[Any], budget: int, worst: float = 1.0) -> bytes:
    """A slice in at most `budget` bytes, of a relative error of `worst` (0 to 1) at most.

    Raises CodecInputError for other arrays, and where that does not fit: after one encode.
    """
    square = to_square(pixels)
    head = _HEAD.pack(MAGIC, square.aspect + 128, range_code(square.high), range_code(square.low))
    small = np.rint(square.pixels * 255).astype(np.uint8)
    best, low, high = codec.encode(small, rel_error=worst, effort="small"), 0.0, worst
    if len(best) + len(head) > budget:
        raise CodecInputError(f"kwavelet does not fit the slice into {budget} bytes at an error of {worst:.1%}")
    for _ in range(_ROUNDS):
        target = (low + high) / 2
        payload = codec.encode(small, rel_error=target, effort="small")
        if len(payload) + len(head) <= budget:
            best, high = payload, target
        else:
            low = target
    return head + best


def decode(data: bytes) -> Decoded:
    """The picture of a preview. Raises PayloadError for damage."""
    if len(data) < _HEAD.size or data[0] != MAGIC:
        raise PayloadError("these bytes are no preview of kwavelet")
    _, aspect, high, low = _HEAD.unpack_from(data)
    if not np.isfinite([low, high]).all():
        raise PayloadError("the preview's header is damaged")
    small = codec.decode(data[_HEAD.size :])
    if small.ndim != 2 or max(small.shape) > SIDE or small.dtype != np.uint8:
        raise PayloadError("the preview's picture is not of a preview's size")
    return Decoded(np.asarray(small / np.float32(255), np.float32), low * RANGE_SCALE, high * RANGE_SCALE, aspect - 128)
