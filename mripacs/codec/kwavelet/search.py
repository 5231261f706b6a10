"""Which step to use: candidates for a frame and a target, best first.

For error targets the best step is the coarsest whose fixed point meets the target; for `k` it is the finest whose
fixed point has at most k nonzero indices. A trial is a full round trip with fixed point and costs about 4 ms for
256 x 256. A first guess comes from the error in the coefficient domain, without the inverse transform; from there
trials close in between a step that met the target and one that did not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.fixed_point import settle
from mripacs.codec.kwavelet.kernel import ClipRange, Quantised, decode, quantise, quantise_sparsely, squared_error
from mripacs.codec.kwavelet.metrics import difference, energy
from mripacs.codec.kwavelet.steps import FINEST_STEP, STEP_COUNT, STEPS_PER_OCTAVE
from mripacs.core.model import Target, TargetKind

MAX_TRIALS = 16  # closes any bracket of the grid; real slices need 2 to 4, one in 100 more than 5
MAX_CANDIDATES = (
    8  # then the frame goes to the lossless codec; in 126 of 126 runs on real slices the first one was taken
)
# The error grows as step^0.79 to step^0.94 between 1 and 5 % (64 slices of train).
GROWTH = 0.85
# Largest error of a slice in RMS errors, for the first guess only (train: 4 to 7, median 5.3).
PEAK_TO_RMS = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A fixed point and how near it comes to the target: `load` <= 1 meets it."""

    quantised: Quantised
    pixels: NDArray[np.int64]
    load: float


def candidates(x: NDArray[Any], coefficients: NDArray[np.int64], target: Target) -> Iterator[Trial]:
    """Fixed points that meet the target, best first; none if there are none.

    x : integer pixels (rows, columns). coefficients : W(x).
    """
    if target.kind is TargetKind.K:
        return _within_count(x, coefficients, target.value)
    return _within_error(_ErrorTrials(x, coefficients, target))


class _ErrorTrials:
    """Trials of one frame against an error target, remembered by step."""

    def __init__(self, x: NDArray[Any], coefficients: NDArray[np.int64], target: Target) -> None:
        self._coefficients = coefficients
        self._clip = ClipRange.of(x)
        self._load, self._allowed_rms = _LOADS[target.kind](x, target.value)
        self._done: dict[int, Trial | float] = {}

    def load(self, step: int) -> float:
        """Error at `step` over the allowed error; infinite if there is no fixed point."""
        if step not in self._done:
            self._done[step] = self._run(step)
        done = self._done[step]
        return done.load if isinstance(done, Trial) else done

    def trial(self, step: int) -> Trial | None:
        """The trial at `step` if its fixed point meets the target."""
        done = self._done.get(step)
        return done if isinstance(done, Trial) and done.load <= 1 else None

    def _run(self, step: int) -> Trial | float:
        """A trial, or only its load if the first round already misses the target."""
        first = quantise_sparsely(self._coefficients, step)
        load = self._load(decode(first, self._clip))
        if load > 1:
            return load
        settled = settle(first, self._clip)
        return Trial(*settled, self._load(settled[1])) if settled else math.inf

    def guess(self) -> int:
        """The coarsest step whose error in the coefficient domain is within the target."""
        allowed = self._allowed_rms**2 * self._coefficients.size
        return _bisect(lambda step: squared_error(self._coefficients, step) > allowed) - 1


def _within_error(trials: _ErrorTrials) -> Iterator[Trial]:
    below = STEP_COUNT
    for _ in range(MAX_CANDIDATES):
        step = _coarsest(trials, below)
        if step is None:
            return
        found = trials.trial(step)
        if found is not None:
            yield found
        below = step


def _coarsest(trials: _ErrorTrials, below: int) -> int | None:
    """The coarsest step under `below` that meets the target, or None if not even the finest does."""
    fails, meets = below, FINEST_STEP - 1
    step = min(max(trials.guess(), FINEST_STEP), below - 1)
    for _ in range(MAX_TRIALS):
        if fails - meets <= 1:
            break
        load = trials.load(step)
        if load <= 1:
            meets = step
        else:
            fails = step
        step = _next_step(step, load, meets, fails)
    return meets if meets >= FINEST_STEP else None


def _next_step(step: int, load: float, meets: int, fails: int) -> int:
    """Where the error's growth says the target is met, kept inside the open bracket (meets, fails)."""
    if 0 < load < math.inf:
        jump = math.floor(-math.log2(load) * STEPS_PER_OCTAVE / GROWTH)
        proposal = step + (max(jump, 1) if load <= 1 else min(jump, -1))
    else:
        proposal = (meets + fails) // 2
    return min(max(proposal, meets + 1), fails - 1)


def _within_count(x: NDArray[Any], coefficients: NDArray[np.int64], k: float) -> Iterator[Trial]:
    """Fixed points with at most k nonzero indices, from the finest such step towards coarser ones."""
    clip = ClipRange.of(x)
    finest = _bisect(lambda step: quantise(coefficients, step).nonzero <= k)
    for offset in range(8 * MAX_CANDIDATES):
        step = finest + offset * (offset + 1) // 2
        if step >= STEP_COUNT:
            return
        settled = settle(quantise(coefficients, step), clip)
        if settled is not None and settled[0].nonzero <= k:
            yield Trial(*settled, settled[0].nonzero / k)


def _bisect(holds: Callable[[int], bool]) -> int:
    """The finest step from which on `holds` (monotone in the step); STEP_COUNT if it never does."""
    low, high = FINEST_STEP, STEP_COUNT
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


# A load is the error of decoded pixels over the allowed one; beside it stands the RMS error to start the search from.
Load = Callable[[NDArray[np.int64]], float]


def _rel_error_load(x: NDArray[Any], value: float) -> tuple[Load, float]:
    allowed = value * math.sqrt(energy(x))
    return lambda y: math.sqrt(energy(difference(x, y))) / allowed, allowed / math.sqrt(x.size)


def _max_error_load(x: NDArray[Any], value: float) -> tuple[Load, float]:
    return lambda y: float(np.abs(difference(x, y)).max()) / value, value / PEAK_TO_RMS


_LOADS = {TargetKind.REL_ERROR: _rel_error_load, TargetKind.MAX_ERROR: _max_error_load}
