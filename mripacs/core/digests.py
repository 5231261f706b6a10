"""How pixels are named by a digest, the same when they come in and when they leave."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pixel_digest(frames: NDArray[Any]) -> str:
    """SHA-256 of an integer array's samples in C order, little endian, as lower-case hexadecimal."""
    little = frames.astype(frames.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).data).hexdigest()
