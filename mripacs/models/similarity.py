"""How alike two pictures are: relative error, and structural similarity as scikit-image computes it by default."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW = 7  # pixels, uniform
_K1, _K2 = 0.01, 0.03  # Wang et al. 2004


def relative_error(x: NDArray[Any], y: NDArray[Any]) -> float:
    """||x - y||_F / ||x||_F; infinite when only x is all zero."""
    lost = float(np.linalg.norm(x.astype(np.float64) - y))
    whole = float(np.linalg.norm(x.astype(np.float64)))
    return lost / whole if whole else (math.inf if lost else 0.0)


def ssim(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Mean structural similarity of two pictures (rows, columns), both sides WINDOW at least; 1 for equal ones.

    The range is that of x; a constant x counts as range 1.
    """
    a, b = x.astype(np.float64), y.astype(np.float64)
    span = float(a.max() - a.min()) or 1.0
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    mean_a, mean_b = _mean(a), _mean(b)
    variances = (_mean(a * a) - mean_a**2 + _mean(b * b) - mean_b**2) * unbiased
    covariance = (_mean(a * b) - mean_a * mean_b) * unbiased
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))).mean())


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over each whole window, by sums of sums."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.cumsum(0).cumsum(1)
    inner = sums[WINDOW:, WINDOW:] - sums[:-WINDOW, WINDOW:] - sums[WINDOW:, :-WINDOW] + sums[:-WINDOW, :-WINDOW]
    return np.asarray(inner / WINDOW**2)
