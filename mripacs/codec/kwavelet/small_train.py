"""Make the tables of the `small` coder from images: `mripacs admin codec train DIR --out FILE`.

Two rounds: nets are fitted to frames quantised without choices; with these nets to choose by, frames are quantised
again, other variations of the same slices, and the nets are fitted to those. `--start FILE` goes on from tables with
one more round of that kind. Then the coder runs over some frames, learning as it does in use, and its state becomes
the state every frame starts from. Errors are drawn log-uniformly from 0.8 to 7 %, four of five slices are augmented
(`small_augment`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import search, small_search
from mripacs.codec.kwavelet.kernel import Quantised, transform
from mripacs.codec.kwavelet.mixing import COUNT_BITS
from mripacs.codec.kwavelet.range_coder import encoder
from mripacs.codec.kwavelet.small_augment import augmented
from mripacs.codec.kwavelet.small_choice import LAMBDA
from mripacs.codec.kwavelet.small_coder import code_bands, encode
from mripacs.codec.kwavelet.small_fit import RATE_AGAIN, RATE_FIRST, fit, restored, rounded
from mripacs.codec.kwavelet.small_samples import collect
from mripacs.codec.kwavelet.small_shapes import ORIENTATIONS, outside_inputs
from mripacs.codec.kwavelet.small_tables import SmallTables, untrained
from mripacs.core.errors import CodecInputError
from mripacs.core.model import Target, TargetKind

ERRORS = (0.008, 0.07)
WORTHS = (0.08, 0.12)  # what a bit is worth to the choices of the second round
AUGMENTED = 0.8
SMALLEST_SPAN = 20  # grey levels: flatter slices teach nothing
LEARNING_RATE = 1  # of the mixer while its start is learnt, in units of 2^-10
RATE = 2  # and in use
CONFIDENCE = 60  # counts are cut to this at the start of a frame


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is made of the images, by round. The defaults made the shipped tables."""

    seed: int = 1
    variations: tuple[int, int, int] = (4, 8, 10)  # of each slice
    kept: tuple[float, float, float] = (0.4, 0.3, 0.3)  # share of their coefficients that the nets are fitted to
    epochs: tuple[float, float, float] = (3.0, 5.0, 8.0)
    learnt: int = 300  # frames that the mixer's start is learnt from

    def scaled(self, share: float) -> Plan:
        """The plan with that share of its work, at least one variation of each slice."""
        first, second, third = (max(1, round(count * share)) for count in self.variations)
        return replace(self, variations=(first, second, third), learnt=max(1, round(self.learnt * share)))


def train(
    images: Sequence[NDArray[Any]],
    plan: Plan,
    tell: Callable[[str], None] = lambda _: None,
    start: SmallTables | None = None,
) -> SmallTables:
    """Tables trained on slices (rows, columns) of integers.

    tell : is given a line now and then. start : tables to go on from, with the third round alone. The same images,
    plan and start give the same tables on the same machine. Raises CodecInputError where there is nothing to train on,
    CodecError without PyTorch.
    """
    slices = [image for image in images if np.ptp(image) > SMALLEST_SPAN]
    if not slices:
        raise CodecInputError("no image has more than 20 grey levels between its smallest and largest pixel")
    tables = start or untrained()
    modules = [restored(weights) if start else None for weights in tables.weights]
    for number in (2,) if start else (0, 1):
        frames = list(_frames(slices, plan, tables if number else None, number))
        tell(f"round {number + 1}: {len(frames)} frames of {len(slices)} slices")
        samples = collect(frames, tables.compressed, plan.kept[number], plan.seed + number)
        for o in ORIENTATIONS:
            rate = RATE_AGAIN if start else RATE_FIRST
            modules[o] = fit(samples[o], tables.compressed, plan.epochs[number], plan.seed, modules[o], rate)
            tell(f"round {number + 1}: net {o + 1} of {len(ORIENTATIONS)} fitted to {len(samples[o])} coefficients")
        first, second, third = (rounded(modules[o], outside_inputs(o)) for o in ORIENTATIONS)
        tables = replace(tables, weights=(first, second, third))
    return _with_start(tables, frames, plan)


def _frames(slices: Sequence[NDArray[Any]], plan: Plan, tables: SmallTables | None, number: int) -> Iterable[Quantised]:
    """Fixed points of variations of the slices at random targets; of some there are none."""
    random = np.random.default_rng((plan.seed, number))
    for _ in range(plan.variations[number]):
        for chosen in range(len(slices)):
            varied = random.random() < AUGMENTED
            image = augmented(slices, chosen, random) if varied else slices[chosen]
            target = Target(TargetKind.REL_ERROR, float(np.exp(random.uniform(*np.log(ERRORS)))))
            worth = random.uniform(*WORTHS)
            if np.ptp(image):
                yield from _quantised(image, target, tables, worth)


def _quantised(image: NDArray[Any], target: Target, tables: SmallTables | None, worth: float) -> Iterable[Quantised]:
    coefficients = transform(image)
    goal = search.goal_of(image.astype(np.int32), coefficients, target)
    if tables is None:
        found = search.candidates(goal, coefficients)
    else:
        found = small_search.candidates(goal, coefficients, tables, worth)
    trial = next(iter(found), None)
    if trial is not None:
        yield trial.point.quantised


def _with_start(tables: SmallTables, frames: Sequence[Quantised], plan: Plan) -> SmallTables:
    """The tables with the slots and then the mixer's weights that coding frames leads to."""
    random = np.random.default_rng(plan.seed)
    chosen = [frames[k] for k in random.permutation(len(frames))[: plan.learnt]]
    learner = replace(tables, rate=LEARNING_RATE)
    slots = _learn(learner, chosen, keep_slots=True)[0]
    mask = (1 << COUNT_BITS) - 1
    learner = replace(learner, slots=(slots & ~mask) | np.minimum(slots & mask, CONFIDENCE).astype(np.int32))
    return replace(learner, mixer=_learn(learner, chosen, keep_slots=False)[1], rate=RATE)


def _learn(
    tables: SmallTables, frames: Iterable[Quantised], *, keep_slots: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Slots and weights of the mixer after coding the frames one after the other."""
    machine = tables.machine(*encoder(1))
    for frame in frames:
        if not keep_slots:
            machine.slots[:] = tables.slots
        code_bands(machine, frame.indices.copy(), frame.step, tables)
    return machine.slots, machine.weights


def measure(images: Sequence[NDArray[Any]], tables: Mapping[str, SmallTables]) -> dict[str, dict[str, int]]:
    """Coded bytes of the images at 5 and 2 % error under each of the tables, which also choose the indices."""
    return {
        name: {
            f"{error:.0%}": coded_size(
                each, [q for x in images for q in _quantised(x, Target(TargetKind.REL_ERROR, error), each, LAMBDA)]
            )
            for error in (0.05, 0.02)
        }
        for name, each in tables.items()
    }


def coded_size(tables: SmallTables, frames: Iterable[Quantised]) -> int:
    """Bytes of frames coded one by one from the starting state."""
    return sum(len(encode(frame, tables)) for frame in frames)
