"""How near coefficients lie to reconstruction points: the compiled half of `detect`.

Distances are whole numbers of 1/256 step, rounded down, as version 1 computes them; float64 holds all values exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.quantiser import BIAS_MORE, BIAS_ONE, ROUNDING_DETAIL, ROUNDING_LL
from mripacs.core.jit import compiled, inlined

IMPLAUSIBLE = int(np.iinfo(np.int64).max)
# Among all coefficients, those below 0.3 step say nothing (1/256 step).
SILENT = 77


@inlined
def _distance(magnitude: float, step: float, rounding: float, one: float, more: float) -> float:
    """Distance of a magnitude to its reconstruction point, in 1/256 step."""
    index = np.floor((magnitude + np.floor(step * rounding)) / step)
    bias = np.floor(step * (one if index == 1.0 else more))
    point = index * step - bias if index > 0.0 else 0.0
    distance: float = np.floor(abs(magnitude - point) * 256.0 / step)
    return distance


@compiled
def means(
    magnitudes: NDArray[np.int64],
    of_band: NDArray[np.int64],
    steps: NDArray[np.float64],
    finest: int,
    looks_right: int,
) -> NDArray[np.int64]:
    """Mean distance under each step, in 1/4096 step, of the magnitudes that do not quantise to zero.

    steps : (bands, STEP_COUNT), growing along a row; band 0 is LL. IMPLAUSIBLE where the mean exceeds `looks_right`
    or nothing is left.
    """
    count = steps.shape[1]
    totals, counts = np.zeros(count, np.float64), np.zeros(count, np.float64)
    for k in range(magnitudes.shape[0]):
        _add_distances(np.float64(magnitudes[k]), of_band[k], steps, finest, totals, counts)
    found = np.full(count, IMPLAUSIBLE, np.int64)
    for n in range(finest, count):
        if counts[n] > 0 and totals[n] <= looks_right * counts[n]:
            found[n] = np.int64(16 * totals[n]) // np.int64(counts[n])
    return found


@compiled
def _add_distances(
    magnitude: float,
    band: int,
    steps: NDArray[np.float64],
    finest: int,
    totals: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> None:
    """Add one magnitude's distances under the steps below twice itself."""
    rounding = (ROUNDING_DETAIL if band > 0 else ROUNDING_LL) / 256.0
    one, more = (BIAS_ONE / 256.0, BIAS_MORE / 256.0) if band > 0 else (0.0, 0.0)
    end = np.searchsorted(steps[band], 2.0 * magnitude)
    for n in range(finest, end):
        totals[n] += _distance(magnitude, steps[band, n], rounding, one, more)
        counts[n] += 1.0


@compiled
def peaks(coefficients: NDArray[np.float64], bands: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest magnitude of each band."""
    found = np.empty(bands.shape[0], np.float64)
    for b in range(bands.shape[0]):
        columns = np.zeros(bands[b, 3] - bands[b, 2], np.float64)
        for i in range(bands[b, 0], bands[b, 1]):
            row = coefficients[i, bands[b, 2] : bands[b, 3]]
            for j in range(row.shape[0]):
                columns[j] = abs(row[j]) if abs(row[j]) > columns[j] else columns[j]
        found[b] = columns.max()
    return found


@compiled
def look_right(
    coefficients: NDArray[np.float64],
    bands: NDArray[np.int64],
    peaks: NDArray[np.float64],
    steps: NDArray[np.int64],
    looks_right: int,
) -> bool:
    """Whether the mean distance of all coefficients of at least 0.3 step is small. peaks : skips bands without any."""
    totals, counts = np.zeros(coefficients.shape[1], np.float64), np.zeros(coefficients.shape[1], np.float64)
    for b in range(bands.shape[0]):
        detail, step, silent = bands[b, 5] >= 0, np.float64(steps[b]), np.float64((steps[b] * SILENT) >> 8)
        if peaks[b] <= silent:
            continue
        rounding = (ROUNDING_DETAIL if detail else ROUNDING_LL) / 256.0
        one, more = (BIAS_ONE / 256.0, BIAS_MORE / 256.0) if detail else (0.0, 0.0)
        for i in range(bands[b, 0], bands[b, 1]):
            row = coefficients[i, bands[b, 2] : bands[b, 3]]
            for j in range(row.shape[0]):
                magnitude = abs(row[j])
                distance = _distance(magnitude, step, rounding, one, more)
                totals[j] += distance if magnitude > silent else 0.0
                counts[j] += 1.0 if magnitude > silent else 0.0
    near: bool = totals.sum() <= looks_right * counts.sum()
    return near
