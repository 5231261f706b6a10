"""How kernels are compiled: by numba, cached on disk, in integers, without fast-math and without threads.

The cache lies beside the source files where that folder is writable, else in the user's cache folder;
NUMBA_CACHE_DIR names another. With NUMBA_DISABLE_JIT=1 the same functions run as plain Python and give the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """A function compiled on its own."""
    # Without the GIL: kernels touch their arguments only, and a decode of 10 to 30 ms would stop every other thread.
    kernel: Kernel = njit(cache=True, nogil=True)(function)
    return kernel


def inlined(function: Kernel) -> Kernel:
    """A function compiled into its callers: for inner loops, where passing arrays costs three times the work."""
    kernel: Kernel = njit(cache=True, forceinline=True)(function)
    return kernel


# An array's element as a 64-bit integer, compiled or not: products of 32-bit elements must not wrap.
wide: Callable[[Any], int] = cast(Callable[[Any], int], np.int64)
# A number in single precision; kernels that use it keep to whole numbers below 2^24, or to estimates.
narrow: Callable[[Any], float] = cast(Callable[[Any], float], np.float32)
# An index that is known not to be negative: numba then leaves out the test for one, and vectorises loops over it.
place: Callable[[Any], Any] = cast(Callable[[Any], Any], np.uint64)
