"""Which step and indices the `small` effort stores: rate-distortion choices around the step that `search` found.

Chosen indices make a little more error, so the target is met at a slightly finer step; the bytes fall all the same.
What meets the target is a fixed point, as in `search`, and its error is measured on what will be decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import search
from mripacs.codec.kwavelet.fixed_point import FixedPoint, settle
from mripacs.codec.kwavelet.kernel import ClipRange, Quantised, decode
from mripacs.codec.kwavelet.search import GROWTH, Goal, Trial
from mripacs.codec.kwavelet.small_choice import LAMBDA, choose
from mripacs.codec.kwavelet.small_tables import SmallTables, shipped
from mripacs.codec.kwavelet.steps import FINEST_STEP, STEP_COUNT, STEPS_PER_OCTAVE

# How much coarser than `search`'s step is tried at most: its own choice (`sparser`) is another one.
COARSER = 8
# Steps from `search`'s that are tried for a `max_error`, the first that meets it is taken.
AROUND_PLAIN = range(3, -10, -1)
MAX_TRIALS = 4  # each a choice (15 ms for 256 x 256) and a fixed point; on real slices 2 or 3
# What is left of the target at the coarsest step is used up by choices that ask more of a bit: the error grows as
# worth^0.08 at 5 %, worth^0.04 at 2 % (train), with ups and downs of 0.5 %; half a per cent saves 0.7 % bytes.
MORE_TRIALS = 2
USED_UP, GROWTH_BY_WORTH = 0.9985, 0.11
MOST_WORTH = 2.0  # times what was asked for
NEARLY = 0.993  # one step more adds 0.9 %: of 20 tries from here one met the goal
NO_FIXED_POINT = 1.0001  # counts as a load just beyond the goal: the next step is tried


def candidates(
    goal: Goal,
    coefficients: NDArray[np.float64],
    tables: SmallTables | None = None,
    worth: float = LAMBDA,
) -> Iterator[Trial]:
    """Fixed points that meet the goal, best first; see `search.candidates`, whose own follow the chosen ones.

    worth : squared error in steps that a bit is worth. A goal that counts indices is left to `search`.
    """
    plain = next(search.candidates(goal, coefficients), None)
    if plain is not None and goal.count == math.inf:
        step = plain.point.quantised.step
        del plain  # memory: it is found again in the rare case that it is asked for
        chosen = _Choices(goal, coefficients, tables or shipped(), worth).best(step)
        if chosen is not None:
            yield chosen
    yield from search.candidates(goal, coefficients)


@dataclass(frozen=True, slots=True)
class _Indices:
    """A fixed point by its indices alone, and its load: pixels and coefficients of all trials would be too much."""

    quantised: Quantised
    load: float


class _Choices:
    """Chosen indices of one frame by step, against its goal."""

    def __init__(self, goal: Goal, coefficients: NDArray[np.float64], tables: SmallTables, worth: float) -> None:
        self._goal, self._coefficients, self._tables, self._worth = goal, coefficients, tables, worth
        self._clip = ClipRange.of(goal.x)

    def best(self, plain_step: int) -> Trial | None:
        """At the coarsest of the steps tried whose fixed point meets the goal, the choices that use it up."""
        best = self._coarsest(plain_step)
        met, missed = self._worth, MOST_WORTH * self._worth
        for _ in range(MORE_TRIALS):
            if best is None or not 0 < best.load < USED_UP:
                break
            wanted = met * math.exp((1 - best.load) / GROWTH_BY_WORTH)
            worth = wanted if wanted < missed else math.sqrt(met * missed)
            met_again = self._try(best.quantised.step, worth)
            if met_again.load > 1:
                missed = worth
            else:
                best, met = met_again, worth
        if best is None:
            return None
        return Trial(FixedPoint(best.quantised, decode(best.quantised, self._clip), None), best.load)

    def _coarsest(self, plain_step: int) -> _Indices | None:
        if self._goal.peak < math.inf:  # the largest error goes up and down: no step tells about the next
            steps = (min(plain_step + offset, STEP_COUNT - 1) for offset in AROUND_PLAIN)
            tries = (self._try(step, self._worth) for step in steps if step >= FINEST_STEP)
            return next((tried for tried in tries if tried.load <= 1), None)
        best: _Indices | None = None
        meets, step, fails = FINEST_STEP - 1, plain_step, plain_step + COARSER
        for _ in range(MAX_TRIALS):
            if not meets < step < fails:
                break
            tried = self._try(step, self._worth)
            if tried.load <= 1:
                best, meets = tried, step
                if tried.load >= NEARLY:
                    break
                step = min(step + max(_jump(tried.load), 1), fails - 1)
            else:
                fails = step
                step += min(_jump(tried.load), -1) if best is None else -1
        return best

    def _try(self, step: int, worth: float) -> _Indices:
        """The fixed point that choices at `step` lead to; where there is none, or none within the goal, a load > 1."""
        first = choose(self._coefficients, step, self._tables, worth)
        pixels = decode(first, self._clip)
        load = self._goal.load(pixels)
        if load > 1:
            return _Indices(first, load)
        point = settle(first, pixels, self._clip)
        return (
            _Indices(first, NO_FIXED_POINT)
            if point is None
            else _Indices(point.quantised, self._goal.load(point.pixels))
        )


def _jump(load: float) -> int:
    """Steps from here to where the goal is met, by the error's growth."""
    return math.floor(-math.log2(load) * STEPS_PER_OCTAVE / GROWTH) if load > 0 else 1
