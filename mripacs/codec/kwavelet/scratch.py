"""Memory that one call after the other works in: a thread keeps it, as long as it is not large.

The C library gives freed megabytes back to the system, and having them again costs 2 ms a megabyte on a virtual
machine: a third of the time to decode 1024 x 1024.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

KEPT_BYTES = 16 << 20  # of one array; what is larger is taken and given back each time


class _Kept(threading.local):
    """A thread's arrays by name."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.uint8]] = {}


_kept = _Kept()


def scratch(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of any content. Valid until the next call with this name on this thread: for use inside one function."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > KEPT_BYTES:
        return np.empty(shape, dtype)
    kept = _kept.arrays.get(name)
    if kept is None or kept.size < size:
        kept = _kept.arrays[name] = np.empty(size, np.uint8)
    return kept[:size].view(dtype).reshape(shape)
