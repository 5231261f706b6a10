"""Which step to use: candidates for a frame and a target, best first.

For error targets the best step is the coarsest whose fixed point meets the target; for `k` it is the finest whose
fixed point has at most k nonzero indices. A trial is a round trip and costs 0.5 ms for 256 x 256, its fixed point
0.3 to 1 ms more. Estimates from the coefficients (`estimate`) lead to the first trial; scaled by what that measures,
they mostly name the best step, which the second trial confirms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.estimate import ErrorEstimate
from mripacs.codec.kwavelet.fixed_point import FixedPoint, settle
from mripacs.codec.kwavelet.kernel import ClipRange, Quantised, decode, quantise, quantise_sparsely
from mripacs.codec.kwavelet.metrics import energy, gap
from mripacs.codec.kwavelet.noise import estimate_noise
from mripacs.codec.kwavelet.steps import FINEST_STEP, STEP_COUNT, STEPS_PER_OCTAVE
from mripacs.core.model import Target, TargetKind

MAX_TRIALS = 16  # closes any bracket of the grid; real slices need 2 or 3
MAX_CANDIDATES = 8  # then the frame goes to the lossless codec; on real slices the first one is taken
# A first round that uses this much of the target is not improved on, and this much is what the first step aims at: a
# step finer costs 0.8 % bytes at 0.9 % less error, a trial more a tenth of the time (slices of train, phantoms).
CLOSE, AIM = 0.978, 0.989
# The largest error goes up and down from step to step: this many coarser ones may still meet a `max_error`.
COARSER = 16
# The error grows as step^0.79 to step^0.94 between 1 and 5 % (64 slices of train).
GROWTH = 0.85
# Largest error of a slice in RMS errors, for the first guess only (train: 4 to 7, median 5.3).
PEAK_TO_RMS = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A fixed point and how near it comes to the target: `load` <= 1 meets it."""

    point: FixedPoint
    load: float


@dataclass(frozen=True, slots=True)
class Goal:
    """A target in terms of one frame x (rows, columns): bounds that all hold."""

    x: NDArray[Any]
    start: float = 0.0  # squared error over the whole frame at which to start
    squared: float = math.inf  # allowed squared error over the whole frame
    peak: float = math.inf  # allowed error of a pixel
    count: float = math.inf  # allowed nonzero indices; instead of errors
    noise: float | None = None  # standard deviation of the frame's noise, where the target asks for it

    def load(self, y: NDArray[np.int32]) -> float:
        """Error of decoded pixels over the allowed one."""
        squared, peak = gap(self.x, y)
        return max(math.sqrt(squared / self.squared), peak / self.peak)


def goal_of(x: NDArray[Any], coefficients: NDArray[np.float64], target: Target) -> Goal:
    """What `target` means for pixels x (rows, columns) with coefficients W(x)."""
    value = target.value
    if target.kind is TargetKind.K:
        return Goal(x, count=value)
    if target.kind is TargetKind.MAX_ERROR:
        return Goal(x, x.size * (value / PEAK_TO_RMS) ** 2, peak=value)
    if target.kind is TargetKind.NOISE:
        noise = estimate_noise(x, coefficients)
        allowed = value * noise * noise * x.size
        return Goal(x, allowed, squared=allowed, noise=noise)
    allowed = value * value * energy(x)
    return Goal(x, allowed, squared=allowed)


def candidates(goal: Goal, coefficients: NDArray[np.float64]) -> Iterator[Trial]:
    """Fixed points that meet the goal, best first; none if there are none. coefficients : W(goal.x)."""
    if goal.count < math.inf:
        return _within_count(goal.x, coefficients, goal.count)
    return _within_error(_ErrorTrials(goal, coefficients)) if goal.squared > 0 else iter(())


def level_within(goal: Goal) -> int | None:
    """A grey level which, given to every pixel, meets an error goal; None if there is none, or for other goals."""
    x = goal.x
    if goal.count < math.inf or goal.squared == 0:
        return None
    low, high, mean = int(x.min()), int(x.max()), float(x.mean())
    if high - low > 2 * goal.peak + 2 or energy(x) - x.size * mean * mean > goal.squared + 1:
        return None  # quickly told: no level can
    levels = round(mean), (low + high) // 2
    return next((level for level in levels if goal.load(np.full_like(x, level)) <= 1), None)


class _ErrorTrials:
    """Trials of one frame against an error target. Loads are errors over the allowed error."""

    def __init__(self, goal: Goal, coefficients: NDArray[np.float64]) -> None:
        self._coefficients = coefficients
        self._clip = ClipRange.of(goal.x)
        self._goal = goal
        self._estimate: ErrorEstimate | None = None
        self._last: tuple[int, Quantised, NDArray[np.int32], float] | None = None
        self.overload = 0.0
        self.uneven = goal.peak < math.inf  # loads do not grow with each step

    def load(self, step: int) -> float:
        """Load of the first round trip at `step`; the fixed point's differs by a few thousandths, mostly upwards."""
        return self._first_round(step)[3]

    def settled(self, step: int) -> Trial | None:
        """The fixed point at `step`, if there is one within the target; else None, and `overload` tells by how much.

        Each round adds to the error about half of what the one before added: once the target is sure to be missed,
        the rounds are not gone on with (1024 x 1024 with a clipped background: 1 round instead of 7).
        """
        _, first, pixels, load = self._first_round(step)
        self._last = self._estimate = None  # memory for the rounds
        loads = [load]

        def acceptable(pixels: NDArray[np.int32]) -> bool:
            loads.append(self._goal.load(pixels))
            return 2 * loads[-1] - loads[-2] <= 1

        point = settle(first, pixels, self._clip, acceptable)
        if point is None or loads[-1] > 1:
            self.overload = max(loads[-1], 2 * loads[-1] - loads[-2]) if len(loads) > 1 else load
            return None
        self.overload = 0.0
        return Trial(point, loads[-1])

    def _first_round(self, step: int) -> tuple[int, Quantised, NDArray[np.int32], float]:
        if self._last is None or self._last[0] != step:
            self._last = None
            first = quantise_sparsely(self._coefficients, step)
            pixels = decode(first, self._clip)
            self._last = step, first, pixels, self._goal.load(pixels)
        return self._last

    def first(self) -> int:
        """The coarsest step whose estimated error is within AIM of the target."""
        return max(_bisect(self._exceeds(self._goal.start * AIM * AIM)) - 1, FINEST_STEP)

    def next(self, step: int, load: float) -> int:
        """The coarsest step within the target, if `load`, measured at `step`, tells how far estimates are off."""
        exceeds = self._exceeds(self._estimated(step) / (load * load))
        jump = round(-math.log2(load) * STEPS_PER_OCTAVE / GROWTH)
        proposal = min(max(step + jump, FINEST_STEP), STEP_COUNT - 1)
        while proposal > FINEST_STEP and exceeds(proposal):
            proposal -= 1
        while proposal < STEP_COUNT - 1 and not exceeds(proposal + 1):
            proposal += 1
        return proposal

    def _exceeds(self, allowed: float) -> Callable[[int], bool]:
        return lambda step: self._estimated(step) > allowed

    def _estimated(self, step: int) -> float:
        self._estimate = self._estimate or ErrorEstimate(self._coefficients)
        return self._estimate.squared(step)


def _within_error(trials: _ErrorTrials) -> Iterator[Trial]:
    below = STEP_COUNT
    for _ in range(MAX_CANDIDATES):
        step = _coarsest(trials, below)
        if step is None:
            return
        trial = trials.settled(step)
        if trial is not None:
            yield trial
        far = trials.overload > 1 and not trials.uneven
        below = min(step, trials.next(step, trials.overload) + 1) if far else step


def _coarsest(trials: _ErrorTrials, below: int) -> int | None:
    """The coarsest step under `below` whose first round meets the target; None if not even the finest does."""
    fails, meets = below, FINEST_STEP - 1
    step = max(min(trials.first(), below - 1), FINEST_STEP)
    for _ in range(MAX_TRIALS):
        if fails - meets <= 1:
            break
        load = trials.load(step)
        if load <= 1:
            meets = step
            if load >= CLOSE:
                break
        else:
            fails = step
        proposal = trials.next(step, load) if load > 0 else (meets + fails) // 2
        step = min(max(proposal, meets + 1), fails - 1)
    if meets < FINEST_STEP:
        return None
    reach = range(min(meets + COARSER, below - 1), meets, -1) if trials.uneven else ()
    return next((step for step in reach if trials.load(step) <= 1), meets)


def _within_count(x: NDArray[Any], coefficients: NDArray[np.float64], k: float) -> Iterator[Trial]:
    """Fixed points with at most k nonzero indices, from the finest such step towards coarser ones."""
    clip = ClipRange.of(x)
    finest = _bisect(lambda step: quantise(coefficients, step).nonzero <= k)
    for offset in range(8 * MAX_CANDIDATES):
        step = finest + offset * (offset + 1) // 2
        if step >= STEP_COUNT:
            return
        first = quantise(coefficients, step)
        settled = settle(first, decode(first, clip), clip)
        if settled is not None and settled.quantised.nonzero <= k:
            yield Trial(settled, settled.quantised.nonzero / k)


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
