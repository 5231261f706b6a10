"""Is an image already a fixed point of some step? Asked of the pixels alone, before any target.

The coefficients of a decoded image lie next to reconstruction points of its step, off by the rounding of pixels only
(0.29 grey levels RMS in orthonormal units). For every step of the grid the mean distance of the largest coefficients
to their reconstruction points is taken, in steps: 1/4 for a wrong step, 0.23 / Delta for the right one. Steps that look
right are tried in full, the likeliest first (a finer step that fits as well has the larger distance in steps). Only
D(Q(W y)) = y counts, so the answer is never wrong. A miss is possible in principle; the encoder therefore asks this
very function about what it is about to store.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import layout
from mripacs.codec.kwavelet.fixed_point import is_fixed_point
from mripacs.codec.kwavelet.jit import compiled
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.quantiser import ROUNDING_DETAIL, ROUNDING_LL, reconstruct
from mripacs.codec.kwavelet.steps import FINEST_STEP, step_table

SAMPLE = 64  # largest coefficients looked at for all steps
# Mean distance that still looks right, in 1/256 step: 0.17. Over 64 coefficients a wrong step has 0.25 +- 0.018.
LOOKS_RIGHT = 44
# In the second look at all coefficients, those below 0.3 step say nothing.
SILENT = 77
MAX_TRIALS = 32  # full trials; on slices the right step is the first of them
IMPLAUSIBLE = np.iinfo(np.int64).max


@compiled
def _distance(value: int, step: int, biased: bool) -> int:
    """Distance of |value| to its reconstruction point, in 1/256 step."""
    magnitude = abs(value)
    index = (magnitude + ((step * (ROUNDING_DETAIL if biased else ROUNDING_LL)) >> 8)) // step
    return (abs(magnitude - reconstruct(index, step, biased)) << 8) // step


@compiled
def _mean_distances(
    values: NDArray[np.int64], of_band: NDArray[np.int64], table: NDArray[np.int64], distances: NDArray[np.int64]
) -> None:
    """Mean distance under each step, in 1/4096 step, of the sampled coefficients that do not quantise to zero."""
    for n in range(FINEST_STEP, table.shape[0]):
        total, count = 0, 0
        for k in range(values.shape[0]):
            step = table[n, of_band[k]]
            if 2 * abs(values[k]) > step:
                total += _distance(values[k], step, of_band[k] > 0)
                count += 1
        if count > 0 and total <= LOOKS_RIGHT * count:
            distances[n] = 16 * total // count


@compiled
def _looks_right(coefficients: NDArray[np.int64], bands: NDArray[np.int64], steps: NDArray[np.int64]) -> bool:
    """The same mean over all coefficients of at least 0.3 step."""
    total, count = 0, 0
    for b in range(bands.shape[0]):
        top, bottom, left, right = bands[b, 0], bands[b, 1], bands[b, 2], bands[b, 3]
        step, biased = steps[b], bands[b, 5] >= 0
        silent = (step * SILENT) >> 8
        for i in range(top, bottom):
            for j in range(left, right):
                if abs(coefficients[i, j]) > silent:
                    total += _distance(coefficients[i, j], step, biased)
                    count += 1
    return total <= LOOKS_RIGHT * count


def detect(pixels: NDArray[Any], coefficients: NDArray[np.int64]) -> Quantised | None:
    """The likeliest step whose fixed point `pixels` (rows, columns) is, verified, with its indices; or None.

    coefficients : W(pixels), which the caller needs anyway. The answer depends on the pixel values alone.
    """
    rows, columns = pixels.shape
    bands, table = layout(rows, columns), step_table(rows, columns)
    values, of_band = _largest(coefficients, bands)
    distances = np.full(table.shape[0], IMPLAUSIBLE)
    _mean_distances(values, of_band, table, distances)
    trials = 0
    for step in _most_likely_first(distances):
        if _looks_right(coefficients, bands, table[step]):
            found = is_fixed_point(pixels, coefficients, int(step))
            if found is not None:
                return found
            trials += 1
            if trials == MAX_TRIALS:
                break
    return None


def _most_likely_first(distances: NDArray[np.int64]) -> NDArray[np.int64]:
    """Plausible steps by growing distance, the coarser one of equals first."""
    plausible = np.flatnonzero(distances != IMPLAUSIBLE)
    return plausible[np.lexsort((-plausible, distances[plausible]))]


def _largest(coefficients: NDArray[np.int64], bands: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The SAMPLE largest coefficients of LL and the three coarsest levels, and the bands they belong to."""
    regions = [coefficients[top:bottom, left:right].ravel() for top, bottom, left, right in bands[:10, :4]]
    values = np.concatenate(regions)
    of_band = np.repeat(np.arange(len(regions)), [region.size for region in regions])
    if values.size <= SAMPLE:
        return values, of_band
    chosen = np.sort(np.argpartition(np.abs(values), -SAMPLE)[-SAMPLE:])
    return values[chosen], of_band[chosen]
