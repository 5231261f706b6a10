"""Charts as numbers that a template draws: bars and lines in the units of an SVG's view box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BARS = 61
STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """A range of errors and how many pixels are in it."""

    x: float  # left end, 0 to 100
    width: float
    height: float  # 0 to 100, of the logarithm
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many pixels changed by how much; counts on a logarithmic scale, so that rare large errors are seen."""

    bars: tuple[Bar, ...]
    low: int
    high: int
    unchanged: float  # share of pixels

    @classmethod
    def of(cls, error: NDArray[Any]) -> Self:
        """Of integer differences; one bar for each value, or for equal ranges of values, symmetric about 0."""
        reach = max(1, int(np.abs(error).max()))
        width = -(-(2 * reach + 1) // MAX_BARS)
        half = -(-(2 * reach + 1) // width) // 2 + 1
        edges = (np.arange(-half, half + 2) - 0.5) * width
        counts, _ = np.histogram(error, edges)
        top = math.log1p(counts.max())
        share = 100 / len(counts)
        bars = tuple(
            Bar(
                index * share,
                share * 0.9,
                100 * math.log1p(count) / top,
                f"{_range(low, high)}: {count} pixels",
            )
            for index, (count, low, high) in enumerate(zip(counts, edges[:-1], edges[1:], strict=True))
        )
        return cls(bars, math.ceil(edges[0]), math.floor(edges[-1]), float(np.mean(error == 0)))


def _range(low: float, high: float) -> str:
    first, last = math.ceil(low), math.floor(high)
    return f"{first:+d}" if first == last else f"{first:+d} to {last:+d}"


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the chart and what it stands for."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Lines:
    """Values over the same places as areas below lines: `paths` are SVG path data, 100 wide and 100 high."""

    paths: tuple[str, ...]
    ticks: tuple[Tick, ...]

    @classmethod
    def of(cls, *series: Sequence[float]) -> Self:
        """Of series of equal length, from 0 up on one scale."""
        ticks = _ticks(max((value for values in series for value in values), default=0.0))
        top = ticks[-1].value
        return cls(
            tuple(_area(values, top) for values in series),
            tuple(Tick(100 - 100 * tick.value / top, tick.value) for tick in ticks),
        )


def _area(values: Sequence[float], top: float) -> str:
    """From the lower left corner through every value to the lower right one."""
    step = 100 / max(1, len(values) - 1)
    points = " ".join(f"L{index * step:.2f} {100 - 100 * value / top:.2f}" for index, value in enumerate(values))
    return f"M0 100 {points} L100 100 Z"


def _ticks(highest: float) -> list[Tick]:
    """Round values from 0 to above the highest, three to six of them."""
    magnitude = 10.0 ** math.floor(math.log10(highest / 5)) if highest > 0 else 1.0
    step = next((magnitude * step for step in STEPS if magnitude * step * 5 >= highest), magnitude * 10)
    return [Tick(0, step * index) for index in range(math.ceil(highest / step) + 1 if highest else 2)]
