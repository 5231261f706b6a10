"""How much noise a slice carries, from its own pixels: for targets that allow a fraction of it.

The finest diagonal band holds noise and little else; the median of its magnitudes over 0.6745 is the noise's standard
deviation (Donoho and Johnstone 1994). Magnitude images need care: where a mask or padding has put one value everywhere
there is no noise to see, so such places are left out, and places on edges too; and air has Rayleigh noise, 0.655 times
as wide as in tissue. The estimate is the smaller one of what tissue shows and of what air would stand for. Where images
were interpolated, or smoothed, it is too small, which keeps more detail.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import NORM_BITS, subbands
from mripacs.codec.kwavelet.lifting import FRACTION_BITS

METHOD = "finest HH, MAD; air as Rayleigh"
MEDIAN_OF_NORMAL = 0.6745
RAYLEIGH = 0.655  # standard deviation of Rayleigh noise over that of its Gaussian components
# White noise of one grey level has this standard deviation in the finest HH band, in orthonormal units.
NOISE_GAIN = 1.027
TISSUE = 5.0  # brighter than this many standard deviations, Rician noise is as good as Gaussian
EDGE = 3.0  # a place whose horizontal or vertical detail exceeds this many standard deviations lies on an edge
FEWEST = 256  # coefficients that an estimate is made of


def estimate_noise(pixels: NDArray[np.int32], coefficients: NDArray[np.float64]) -> float:
    """Standard deviation of the noise in grey levels; 0 where there is nothing to estimate it from.

    pixels (rows, columns), coefficients : W(pixels).
    """
    bands = subbands(*pixels.shape)
    if len(bands) == 1:
        return 0.0
    vertical, horizontal, diagonal = bands[-3:]
    rows, columns = diagonal.bottom - diagonal.top, diagonal.right - diagonal.left
    magnitudes, *sides = (
        np.abs(coefficients[band.region][:rows, :columns]) * (band.norm / 2.0 ** (NORM_BITS + FRACTION_BITS))
        for band in (diagonal, vertical, horizontal)
    )
    blocks = pixels[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    lively = blocks.max(axis=(1, 3)) != blocks.min(axis=(1, 3))
    everywhere = _deviation(magnitudes[lively])
    if everywhere is None:
        return 0.0
    smooth = lively & (np.maximum(*sides) < EDGE * everywhere / RAYLEIGH)
    tissue = _deviation(magnitudes[smooth & (blocks.mean(axis=(1, 3)) > TISSUE * everywhere)])
    found = everywhere if tissue is None else min(tissue, everywhere / RAYLEIGH)
    return found / NOISE_GAIN


def _deviation(magnitudes: NDArray[np.float64]) -> float | None:
    """Standard deviation of normal values by the median of their magnitudes; None if there are too few."""
    if magnitudes.size < FEWEST:
        return None
    deviation = float(np.median(magnitudes)) / MEDIAN_OF_NORMAL
    return deviation if math.isfinite(deviation) else None
