"""Errors between an image and what became of it, as floats for curves; the codec's own proof counts in integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def relative_error(x: NDArray[Any], y: NDArray[Any]) -> float:
    """||x - y||_F / ||x||_F on stored integer values; 0 for equal images, infinite when only x is all zero."""
    lost, whole = _norm(x - y.astype(np.float64)), _norm(x)
    if lost == 0:
        return 0.0
    return lost / whole if whole else math.inf


def psnr(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB, the peak being the range of x; infinite for equal images."""
    lost = _norm(x - y.astype(np.float64)) ** 2 / x.size
    peak = float(x.max()) - float(x.min())
    return 10 * math.log10(peak * peak / lost) if lost and peak else math.inf


def geometric_mean(values: list[float]) -> float:
    """Of positive values; not a number for none."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def _norm(values: NDArray[Any]) -> float:
    return float(np.linalg.norm(values.astype(np.float64)))
