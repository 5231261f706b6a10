"""The finest step whose numbers fit into a budget of bytes, and what the last bytes buy, in about five encodes."""

from __future__ import annotations

import math

import numpy as np

from mripacs.core.errors import CodecInputError
from mripacs.models import latent
from mripacs.models.kernel import Odds
from mripacs.models.latent import RATE_WEIGHT, STEP_LIMIT, STEPS_PER_OCTAVE
from mripacs.models.square import Grid
from mripacs.models.transform import Coefficients

MOST_ENCODES = 6
_BITS_A_NUMBER = 5.4  # of those that are not zero: training slices at 120 and 400 bytes
_FULL = 0.98  # of a budget: less is worth another encode
_LIGHTER = (0.08, 0.06, 0.04)  # lambdas: together 2.3 % (120 bytes) and 4.7 % (400) less error on training slices
_DOUBLING = 1.25  # octaves of the step in which the bytes double, there


def finest_within(coefficients: Coefficients, grid: Grid, odds: Odds, budget: int) -> tuple[int, bytes]:
    """Step index and bytes, at most `budget` of them. Raises CodecInputError where even the coarsest step has more."""
    low, high, best = -1, STEP_LIMIT + 1, None  # low fits, high does not
    step = _first_guess(coefficients, budget)
    for _ in range(MOST_ENCODES):
        data = _encode(coefficients, grid, odds, step)
        if len(data) <= budget:
            low, best = step, (step, data)
        else:
            high = step
        if high - low <= 1:
            break
        aim = step + round(STEPS_PER_OCTAVE * _DOUBLING * math.log2((budget - 0.5) / max(len(data), 8)))
        step = min(max(aim, low + 1), high - 1)
    if best is None:
        best = _coarse(coefficients, grid, odds, budget, low, high)
    return _filled(coefficients, grid, odds, budget, *best)


def _filled(
    coefficients: Coefficients, grid: Grid, odds: Odds, budget: int, step: int, data: bytes
) -> tuple[int, bytes]:
    """The same step with fewer numbers given up to save bytes, while there is room for them."""
    for weight in _LIGHTER:
        if len(data) >= _FULL * budget:
            break
        more = _encode(coefficients, grid, odds, step, weight)
        if len(more) > budget:
            break
        data = more
    return step, data


def _encode(coefficients: Coefficients, grid: Grid, odds: Odds, step: int, weight: float = RATE_WEIGHT) -> bytes:
    return latent.encode(latent.quantise(coefficients, grid, step), odds, latent.ratios(coefficients, step), weight)


def _first_guess(coefficients: Coefficients, budget: int) -> int:
    """The step at which as many coefficients are above 0.6 steps as the budget has room for."""
    magnitudes = np.abs(coefficients.bands).ravel()
    count = min(int(8 * budget / _BITS_A_NUMBER), magnitudes.size - 1)
    threshold = max(float(np.partition(magnitudes, -count - 1)[-count - 1]), 1e-6)
    step = round(latent.COARSEST - STEPS_PER_OCTAVE * math.log2(threshold / 0.6))
    return min(max(step, 0), STEP_LIMIT)


def _coarse(coefficients: Coefficients, grid: Grid, odds: Odds, budget: int, low: int, high: int) -> tuple[int, bytes]:
    """Bisection, for pictures that no guess was right for."""
    best = None
    while high - low > 1:
        step = (low + high) // 2
        data = _encode(coefficients, grid, odds, step)
        if len(data) <= budget:
            low, best = step, (step, data)
        else:
            high = step
    if best is None:
        raise CodecInputError(f"the slice does not fit into {budget} bytes even at the coarsest step")
    return best
