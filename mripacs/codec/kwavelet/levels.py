"""Magnitudes and their sums in levels, to choose contexts by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_levels(largest: int, levels: int) -> NDArray[np.int32]:
    """The level of each sum from 0 to `largest`: 0 1 2 3, then one more each half octave, `levels` - 1 at most.

    0 1 2 3 4 4 5 5 6 6 6 6 7 7 7 7 ...
    """
    found = [0, 1, 2, 3]
    for octave in range(2, largest.bit_length()):
        found += [2 * octave] * (1 << (octave - 1)) + [2 * octave + 1] * (1 << (octave - 1))
    return np.minimum(np.array(found[: largest + 1], np.int32), levels - 1)
