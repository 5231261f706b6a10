"""How pixels are named by a digest, the same when they come in and when they leave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pixel_digest(frames: NDArray[Any]) -> str:
    """SHA-256 of an integer array's samples in C order, little endian, as lower-case hexadecimal."""
    little = frames.astype(frames.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).data).hexdigest()


def tensor_digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over named arrays, their types and shapes, in the order of their names, as lower-case hexadecimal."""
    digest = hashlib.sha256()
    for name, values in sorted(tensors.items()):
        digest.update(f"{name} {values.dtype.name} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data)
    return digest.hexdigest()
