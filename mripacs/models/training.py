"""A model from slices: held-out series, odds in two rounds, network, card. What `admin models train` runs."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import mripacs
from mripacs.core.errors import TrainingError
from mripacs.models import checkpoint
from mripacs.models.kernel import Odds
from mripacs.models.model import ARCHITECTURE, PreviewModel, build
from mripacs.models.network_training import Recipe, Training, advance, device, is_done, start
from mripacs.models.odds_training import train_odds
from mripacs.models.pairs import make_pairs, varied
from mripacs.models.slices import LabelledSlice

FEWEST_SLICES = 32
HELD_OUT = 8  # every eighth series is for validation, chosen by its digest; of a single series every eighth slice
Report = Callable[[str, int, int, str], None]  # stage, done, of how many, in words


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is trained on what."""

    recipe: Recipe = field(default_factory=Recipe)
    odds_pictures: int = 2500
    odds_epochs: int = 6
    pairs: int = 6000
    unseen_pairs: int = 160


def train(slices: Sequence[LabelledSlice], plan: Plan, folder: Path, about: str, report: Report) -> PreviewModel:
    """A model trained on slices, with checkpoints in `folder`: called again, it goes on.

    about : the data in words, for the card. Under torchrun all processes train one model and all give it.
    Raises TrainingError: too few slices, a loss that is no number, a checkpoint of another training, a full disk.
    """
    if len(slices) < FEWEST_SLICES:
        raise TrainingError(f"{len(slices)} slices that are not constant are too few: {FEWEST_SLICES} are needed")
    with _processes():
        known, unseen = split(slices)
        begun = {"architecture": ARCHITECTURE, "data": _digest(slices), "seed": plan.recipe.seed}
        odds_facts = {**begun, "odds_pictures": plan.odds_pictures, "odds_epochs": plan.odds_epochs}
        facts = {**begun, "plan": _without_end(plan)}  # what a checkpoint of the network is of
        odds = _odds(known, plan, odds_facts, folder, report)
        training = _network(known, unseen, odds, plan, facts, folder, report)
    tensors = {f"odds.{name}": values for name, values in odds._asdict().items()}
    return build({**tensors, **(training.best or training.network.tensors())}, _card(known, plan, training, about))


def split(slices: Sequence[LabelledSlice]) -> tuple[list[LabelledSlice], list[LabelledSlice]]:
    """Slices to learn from and slices to judge by; no series is in both unless there is only one."""
    series = sorted({each.series for each in slices})
    if len(series) == 1:
        return [each for k, each in enumerate(slices) if k % HELD_OUT], list(slices[::HELD_OUT])
    held = set(series[:: max(2, min(HELD_OUT, len(series)))])
    return [each for each in slices if each.series not in held], [each for each in slices if each.series in held]


def _odds(known: Sequence[LabelledSlice], plan: Plan, facts: Any, folder: Path, report: Report) -> Odds:
    """Two rounds: the numbers that an encoder chooses depend on the odds, and the odds on the numbers."""
    kept = checkpoint.load_odds(facts, folder)
    if kept is not None:
        return kept
    odds: Odds | None = None
    if _rank() == 0:
        pictures = list(varied(known, plan.odds_pictures, np.random.default_rng([plan.recipe.seed, 1])))
        for name in ("odds, first round", "odds, second round"):
            odds = train_odds(
                pictures, odds, plan.odds_epochs, plan.recipe.seed,
                lambda done, total, text, name=name: report(name, done, total, text),  # type: ignore[misc]
            )  # fmt: skip
        if odds is not None:
            checkpoint.save_odds(odds, facts, folder)
    _wait_for_all()
    kept = odds or checkpoint.load_odds(facts, folder)
    if kept is None:
        raise TrainingError("the first process did not leave its odds")
    return kept


def _network(
    known: Sequence[LabelledSlice], unseen: Sequence[LabelledSlice], odds: Odds, plan: Plan, facts: Any, folder: Path,
    report: Report,
) -> Training:  # fmt: skip
    training = start(plan.recipe)
    checkpoint.load_training(training, facts, folder)
    if is_done(training, plan.recipe):
        return training
    report("network", training.step, plan.recipe.steps, f"on {device()}, making pictures")
    random = np.random.default_rng([plan.recipe.seed, 2, _rank()])
    pairs = make_pairs(varied(known, plan.pairs, random), odds, random)
    fixed = np.random.default_rng([plan.recipe.seed, 3])  # the same in every process: they stop together
    judged = make_pairs(varied(unseen, plan.unseen_pairs, fixed), odds, fixed)

    def saved(state: Training, losses: str) -> None:
        if _rank() == 0:
            checkpoint.save_training(state, facts, folder)
        report("network", state.step, plan.recipe.steps, losses)

    advance(training, plan.recipe, pairs, judged, saved)
    return training


def _without_end(plan: Plan) -> dict[str, Any]:
    """The plan without the number of steps: a training may go on for longer, or come to its end sooner."""
    facts = asdict(plan)
    del facts["recipe"]["steps"]
    return facts


def _card(known: Sequence[LabelledSlice], plan: Plan, training: Training, about: str) -> dict[str, Any]:
    return {
        "architecture": ARCHITECTURE,
        "data": about,
        "slices": len(known),
        "trained_series": sorted({each.series for each in known}),
        "seed": plan.recipe.seed,
        "plan": asdict(plan),
        "steps_done": training.step,
        "validation_loss": round(training.best_loss, 5) if math.isfinite(training.best_loss) else None,
        "made_with": f"mripacs {mripacs.__version__}, numpy {np.__version__}, Python {platform.python_version()}",
        "limits": "Pictures for lists and browsing, never for diagnosis: details may be missing or made up.",
    }


def _digest(slices: Sequence[LabelledSlice]) -> str:
    digest = hashlib.sha256()
    for each in slices:
        digest.update(f"{each.series} {each.pixels.shape} {each.pixels.dtype}".encode())
        digest.update(np.ascontiguousarray(each.pixels).data)
    return digest.hexdigest()


class _processes:  # noqa: N801 - a context, named for how it reads
    """The processes that torchrun started, joined for the time of the training; nothing without torchrun."""

    def __enter__(self) -> None:
        import torch  # noqa: PLC0415 - beside the other imports of torch

        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device() == "cuda" else "gloo")

    def __exit__(self, *_: object) -> None:
        import torch  # noqa: PLC0415

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _wait_for_all() -> None:
    import torch  # noqa: PLC0415

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
