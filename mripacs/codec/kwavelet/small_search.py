"""Which step and indices the `small` effort stores: rate-distortion choices around the step that `search` found.

Chosen indices make a little more error, so the target is met at a slightly finer step; the bytes fall all the same.
What meets the target is a fixed point, as in `search`, and its error is measured on what will be decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import search
from mripacs.codec.kwavelet.fixed_point import settle
from mripacs.codec.kwavelet.kernel import ClipRange, decode
from mripacs.codec.kwavelet.search import GROWTH, Goal, Trial
from mripacs.codec.kwavelet.small_choice import LAMBDA, choose
from mripacs.codec.kwavelet.small_tables import SmallTables, shipped
from mripacs.codec.kwavelet.steps import FINEST_STEP, STEPS_PER_OCTAVE

# How much coarser than `search`'s step is tried at most: its own choice (`sparser`) is another one.
COARSER = 8
MAX_TRIALS = 4  # each a choice (20 ms for 256 x 256) and a fixed point; on real slices 2 or 3


def candidates(
    goal: Goal,
    coefficients: NDArray[np.float64],
    tables: SmallTables | None = None,
    worth: float = LAMBDA,
) -> Iterator[Trial]:
    """Fixed points that meet the goal, best first; see `search.candidates`, whose own follow the chosen ones.

    worth : squared error in steps that a bit is worth. A goal that counts indices is left to `search`.
    """
    for plain in search.candidates(goal, coefficients):
        if goal.count == math.inf:
            chosen = _Choices(goal, coefficients, tables or shipped(), worth).coarsest(plain.point.quantised.step)
            if chosen is not None:
                yield chosen
        yield plain


class _Choices:
    """Chosen indices of one frame by step, against its goal."""

    def __init__(self, goal: Goal, coefficients: NDArray[np.float64], tables: SmallTables, worth: float) -> None:
        self._goal, self._coefficients, self._tables, self._worth = goal, coefficients, tables, worth
        self._clip = ClipRange.of(goal.x)

    def coarsest(self, plain_step: int) -> Trial | None:
        """The coarsest of the steps tried whose fixed point meets the goal."""
        best: Trial | None = None
        meets, step, fails = FINEST_STEP - 1, plain_step, plain_step + COARSER
        for _ in range(MAX_TRIALS):
            if not meets < step < fails:
                break
            load, trial = self._try(step)
            if trial is not None:
                best, meets = trial, step
                step = min(step + max(_jump(load), 1), fails - 1)
            else:
                fails = step
                step += min(_jump(load), -1) if best is None else -1
        return best

    def _try(self, step: int) -> tuple[float, Trial | None]:
        """Load of the first round or of the fixed point, and the fixed point if it meets the goal."""
        first = choose(self._coefficients, step, self._tables, self._worth)
        pixels = decode(first, self._clip)
        load = self._goal.load(pixels)
        point = settle(first, pixels, self._clip) if load <= 1 else None
        if point is None:
            return load, None
        load = self._goal.load(point.pixels)
        return load, Trial(point, load) if load <= 1 else None


def _jump(load: float) -> int:
    """Steps from here to where the goal is met, by the error's growth."""
    return math.floor(-math.log2(load) * STEPS_PER_OCTAVE / GROWTH) if load > 0 else 1
