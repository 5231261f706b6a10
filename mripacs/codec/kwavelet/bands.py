"""Where the subbands lie in the Mallat layout, in coding order, and how much each coefficient weighs.

Coding order is coarse to fine: LL, then for each level from the coarsest LH (high along columns' index, i.e. vertical
edges), HL (horizontal edges), HH. Level 1 is the finest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.lifting import FRACTION_BITS, level_count

LL, LH, HL, HH = -1, 0, 1, 2
NORM_BITS = 16
# L2 norm of the image that one unit coefficient makes, times 2^16: level -> (LL, LH and HL, HH). For the transform
# without K scaling, on an unbounded grid; tests/codec/test_bands.py recomputes them.
SYNTHESIS_NORMS: dict[int, tuple[int, int, int]] = {
    0: (65536, 0, 0),
    1: (85138, 66276, 51593),
    2: (117977, 86476, 63387),
    3: (159177, 119722, 90046),
    4: (211654, 161397, 123073),
    5: (280180, 214544, 164284),
    6: (370453, 283982, 217695),
}


class Band(NamedTuple):
    """One subband: its place in the Mallat layout (half-open ranges), level and orientation."""

    top: int
    bottom: int
    left: int
    right: int
    level: int
    orientation: int

    @property
    def region(self) -> tuple[slice, slice]:
        """Index of the band in an array of the Mallat layout."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def norm(self) -> int:
        """Synthesis L2 norm times 2^16."""
        low, side, diagonal = SYNTHESIS_NORMS[self.level]
        return {LL: low, LH: side, HL: side, HH: diagonal}[self.orientation]


def corner(rows: int, columns: int, level: int) -> tuple[int, int]:
    """Size of the low-pass band after `level` decompositions: ceil(size / 2^level)."""
    return -(-rows >> level), -(-columns >> level)


@lru_cache(maxsize=256)
def subbands(rows: int, columns: int) -> tuple[Band, ...]:
    """All bands of a (rows, columns) image in coding order, LL first; 1 + 3 * levels of them, none empty."""
    levels = level_count(rows, columns)
    bottom, right = corner(rows, columns, levels)
    found = [Band(0, bottom, 0, right, levels, LL)]
    for level in range(levels, 0, -1):
        (r, c), (r0, c0) = corner(rows, columns, level - 1), corner(rows, columns, level)
        found += [Band(0, r0, c0, c, level, LH), Band(r0, r, 0, c0, level, HL), Band(r0, r, c0, c, level, HH)]
    return tuple(found)


@lru_cache(maxsize=256)
def layout(rows: int, columns: int) -> NDArray[np.int64]:
    """`subbands` as an int64 array (bands, 6) for compiled kernels; read-only."""
    table = np.array(subbands(rows, columns), np.int64)
    table.setflags(write=False)
    return table


@lru_cache(maxsize=256)
def error_weights(rows: int, columns: int) -> NDArray[np.float64]:
    """Squared grey levels in the image for each squared unit of the fixed point, by band; for estimates only."""
    norms = np.array([band.norm for band in subbands(rows, columns)], np.float64)
    weights: NDArray[np.float64] = (norms / 2.0 ** (NORM_BITS + FRACTION_BITS)) ** 2
    weights.setflags(write=False)
    return weights
