"""Errors of a frame, measured on final integers with integer sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.model import FrameRecord, Generation


def difference(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """x - y as int64, whatever the types."""
    return x.astype(np.int64) - y.astype(np.int64)


def energy(values: NDArray[Any]) -> int:
    """Sum of squares; exact for 16-bit differences in frames of up to 2^28 samples."""
    flat = values.astype(np.int64, copy=False).ravel()
    return int(np.dot(flat, flat))


def relative_error(x: NDArray[Any], y: NDArray[Any]) -> float:
    """||x - y||_F / ||x||_F; 0 if both are all zero, infinite if only x is."""
    lost = energy(difference(x, y))
    if lost == 0:
        return 0.0
    total = energy(x)
    return math.sqrt(lost / total) if total else math.inf


def frame_record(
    x: NDArray[Any], y: NDArray[Any], generation: Generation, step: float | None = None, k: int | None = None
) -> FrameRecord:
    """The record of a frame x that decodes to y; PSNR against the frame's own range."""
    gap = difference(x, y)
    lost = energy(gap)
    if lost == 0:
        return FrameRecord(generation, 0.0, 0, None, step, k)
    span = int(x.max()) - int(x.min())
    psnr = 10 * math.log10(span * span * gap.size / lost) if span else None
    return FrameRecord(generation, relative_error(x, y), int(np.abs(gap).max()), psnr, step, k)
