"""Errors of a frame, measured on final integers with integer sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.jit import compiled, wide
from mripacs.core.model import FrameRecord, Generation


@compiled
def _gap(x: NDArray[Any], y: NDArray[Any]) -> tuple[int, int]:
    """Sum of squared differences and the largest difference of flat arrays."""
    total, largest = 0, 0
    for k in range(x.size):
        gap = abs(wide(x[k]) - wide(y[k]))
        total += gap * gap
        largest = max(largest, gap)
    return total, largest


@compiled
def _energy(x: NDArray[Any]) -> int:
    """Sum of squares of a flat array."""
    total = 0
    for k in range(x.size):
        total += wide(x[k]) * wide(x[k])
    return total


def gap(x: NDArray[Any], y: NDArray[Any]) -> tuple[int, int]:
    """Sum of (x - y)^2, exact for 16-bit samples in frames of up to 2^28, and the largest |x - y|."""
    total, largest = _gap(np.ascontiguousarray(x).ravel(), np.ascontiguousarray(y).ravel())
    return int(total), int(largest)


def energy(x: NDArray[Any]) -> int:
    """Sum of squares."""
    return int(_energy(np.ascontiguousarray(x).ravel()))


def frame_record(
    x: NDArray[Any], y: NDArray[Any], generation: Generation, step: float | None = None, k: int | None = None
) -> FrameRecord:
    """The record of a frame x that decodes to y; PSNR against the frame's own range."""
    lost, largest = gap(x, y)
    if lost == 0:
        return FrameRecord(generation, 0.0, 0, None, step, k)
    total = energy(x)
    span = int(x.max()) - int(x.min())
    psnr = 10 * math.log10(span * span * x.size / lost) if span else None
    return FrameRecord(generation, math.sqrt(lost / total) if total else math.inf, largest, psnr, step, k)
