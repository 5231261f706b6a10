"""Is an image already a fixed point of some step? Asked of the pixels alone, before any target.

The coefficients of a decoded image lie next to reconstruction points of its step, off by the rounding of pixels only
(0.29 grey levels RMS in orthonormal units). For every step of the grid the mean distance of the largest coefficients
to their reconstruction points is taken, in steps: 1/4 for a wrong step, 0.23 / Delta for the right one. Steps that look
right are tried in full, the likeliest first (a finer step that fits as well has the larger distance in steps). Only
D(Q(W y)) = y counts, so the answer is never wrong. A miss is possible in principle; the encoder therefore asks this
very function about what it is about to store.

Which steps are tried, and in which order, is version 1's to the bit, so that each version finds what the other stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import distances
from mripacs.codec.kwavelet.bands import layout
from mripacs.codec.kwavelet.fixed_point import is_fixed_point
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.steps import FINEST_STEP, step_table

SAMPLE = 64  # largest coefficients looked at for all steps
SAMPLED_BANDS = 10  # LL and the three coarsest levels
# Mean distance that still looks right, in 1/256 step: 0.17. Over 64 coefficients a wrong step has 0.25 +- 0.018.
LOOKS_RIGHT = 44
MAX_TRIALS = 32  # full trials; on slices the right step is the first of them


def detect(pixels: NDArray[Any], coefficients: NDArray[np.float64], known: Quantised | None = None) -> Quantised | None:
    """The likeliest step whose fixed point `pixels` (rows, columns) is, verified, with its indices; or None.

    coefficients : W(pixels), which the caller needs anyway. known : indices whose fixed point `pixels` is known to be;
    saves verifying them, and changes no answer. The answer depends on the pixel values alone.
    """
    for step in islice(_looking_right(coefficients), MAX_TRIALS):
        if known is not None and step == known.step:
            return known
        found = is_fixed_point(pixels, coefficients, step)
        if found is not None:
            return found
    return None


def _looking_right(coefficients: NDArray[np.float64]) -> Iterator[int]:
    """Steps under which the sample and then all coefficients lie near reconstruction points, likeliest first."""
    plausible = _plausible(coefficients)
    if plausible.size == 0:
        return
    rows, columns = coefficients.shape
    bands, table = layout(rows, columns), step_table(rows, columns)
    peaks = distances.peaks(coefficients, bands)
    for step in plausible:
        if distances.look_right(coefficients, bands, peaks, table[step], LOOKS_RIGHT):
            yield int(step)


def _plausible(coefficients: NDArray[np.float64]) -> NDArray[np.int64]:
    """Steps under which the sample lies near reconstruction points, by growing distance; of equals, coarser first."""
    rows, columns = coefficients.shape
    values, of_band = _largest(coefficients, layout(rows, columns))
    mean = distances.means(np.abs(values), of_band, _columns(rows, columns), FINEST_STEP, LOOKS_RIGHT)
    plausible = np.flatnonzero(mean != distances.IMPLAUSIBLE)
    return plausible[np.lexsort((-plausible, mean[plausible]))]


@lru_cache(maxsize=64)
def _columns(rows: int, columns: int) -> NDArray[np.float64]:
    """`step_table`'s first bands, one row a band: (SAMPLED_BANDS, STEP_COUNT) float64, read-only."""
    table = np.ascontiguousarray(step_table(rows, columns)[:, :SAMPLED_BANDS].T, np.float64)
    table.setflags(write=False)
    return table


def _largest(
    coefficients: NDArray[np.float64], bands: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The SAMPLE largest coefficients of the coarsest bands, and the bands they belong to."""
    regions = [coefficients[top:bottom, left:right].ravel() for top, bottom, left, right in bands[:SAMPLED_BANDS, :4]]
    values = np.concatenate(regions).astype(np.int64)
    of_band = np.repeat(np.arange(len(regions)), [region.size for region in regions])
    if values.size <= SAMPLE:
        return values, of_band
    chosen = np.sort(np.argpartition(np.abs(values), -SAMPLE)[-SAMPLE:])
    return values[chosen], of_band[chosen]
