"""What the decoder's network learns from: pictures, and what the codec's fixed part makes of them at many steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mripacs.models import latent
from mripacs.models.augment import vary
from mripacs.models.kernel import Odds
from mripacs.models.odds_training import sampled_step
from mripacs.models.slices import LabelledSlice
from mripacs.models.square import grid_for


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures of one shape."""

    wanted: NDArray[np.float16]  # (n, rows, columns), 0 to 1
    coded: NDArray[np.float16]  # the same after quantisation
    steps: NDArray[np.float32]  # (n,) step indices


def varied(slices: Sequence[LabelledSlice], count: int, random: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """`count` variations, each series as often as any other: a long one must not drown the rest."""
    series: dict[str, list[LabelledSlice]] = defaultdict(list)
    for each in slices:
        series[each.series].append(each)
    groups = [series[name] for name in sorted(series)]
    for _ in range(count):
        group = groups[random.integers(len(groups))]
        yield vary(group[random.integers(len(group))].pixels, random)


def make_pairs(pictures: Iterator[NDArray[np.float32]], odds: Odds, random: np.random.Generator) -> list[Pairs]:
    """Each picture quantised once, at a step of its own; by shape."""
    found: Mapping[tuple[int, ...], list[tuple[NDArray[np.float16], NDArray[np.float16], int]]] = defaultdict(list)
    for picture in pictures:
        grid = grid_for(*picture.shape)
        coefficients = latent.coefficients_of(picture, grid)
        step = sampled_step(coefficients.bands, random)
        numbers = latent.quantise(coefficients, grid, step)
        latent.encode(numbers, odds, latent.ratios(coefficients, step))
        coded = latent.reconstruct(numbers).astype(np.float16)
        found[picture.shape].append((picture.astype(np.float16), coded, step))
    return [_stacked(found[shape]) for shape in sorted(found)]


def _stacked(group: list[tuple[NDArray[np.float16], NDArray[np.float16], int]]) -> Pairs:
    wanted, coded, steps = zip(*group, strict=True)
    return Pairs(np.stack(wanted), np.stack(coded), np.array(steps, np.float32))
