"""What a band's surroundings are, put together from the bands before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import subbands
from mripacs.codec.kwavelet.small_inputs import PARENT_MARGIN, SISTER_MARGIN, Surroundings, box_sums, in_steps, padded
from mripacs.codec.kwavelet.small_shapes import COMPRESSED_SIZE, UNIT


def surroundings(indices: NDArray[np.int32], b: int, low_pass: NDArray[np.int64], step: int) -> Surroundings:
    """What is known of the band at place `b` of the coding order; `low_pass` is padded, `step` the band's own."""
    bands = subbands(*indices.shape)
    band = bands[b]
    rows, columns = band.bottom - band.top, band.right - band.left
    if b > 3:
        above = indices[bands[b - 3].region]
        parent = padded(above, above.shape[0], above.shape[1], PARENT_MARGIN)
    else:
        parent = padded(np.zeros((0, 0), np.int32), (rows + 1) // 2, (columns + 1) // 2, PARENT_MARGIN)
    sisters = np.zeros((band.orientation, rows + 2 * SISTER_MARGIN, columns + 2 * SISTER_MARGIN), np.int32)
    sums = np.zeros((band.orientation, rows, columns), np.int32)
    for k, sister in enumerate(bands[b - band.orientation : b]):
        sisters[k] = padded(indices[sister.region], rows, columns, SISTER_MARGIN)
        sums[k] = box_sums(sisters[k], SISTER_MARGIN)
    return Surroundings(in_steps(low_pass, step), parent, box_sums(parent, PARENT_MARGIN), sisters, sums)


def activity_of(indices: NDArray[np.int32], b: int, table: NDArray[np.int16]) -> int:
    """Mean magnitude in the level before the one that begins at place `b`, compressed; 0 for the coarsest level."""
    if b <= 3:
        return 0
    level = [np.abs(indices[band.region].astype(np.int64)) for band in subbands(*indices.shape)[b - 3 : b]]
    total, count = sum(int(part.sum()) for part in level), sum(part.size for part in level)
    return int(table[min(4 * UNIT * total // count, COMPRESSED_SIZE - 1)])
