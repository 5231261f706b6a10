"""Training of the decoder's network, in torch: on a GPU where there is one, by several processes under torchrun."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from mripacs.core.errors import TrainingError
from mripacs.models.network import BLOCK, STEP_SCALE
from mripacs.models.pairs import Pairs

BATCH = 16
LEARNING_RATE, WARM_UP = 2e-3, 100  # steps until it is reached; then down to nothing along a cosine
SSIM_SHARE = 0.5  # of 1 - SSIM beside the relative error in the loss
GRADIENT_LIMIT = 1.0
WINDOW = 7  # pixels of SSIM's window, as scikit-image's default


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a network is and how long it learns."""

    channels: int = 48
    layers: int = 4  # between head and tail, an even number
    steps: int = 2500  # 0.16 s of one core each
    validate_every: int = 250  # steps
    patience: int = 8  # validations without a better one until it stops early
    seed: int = 1


class RepairNetwork(nn.Module):  # type: ignore[misc] # torch is untyped here
    """The twin of `mripacs.models.network.repair`."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(BLOCK * BLOCK + 1, channels, 3, padding=1)
        self.inner = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))
        self.tail = nn.Conv2d(channels, BLOCK * BLOCK, 3, padding=1)
        for layer in (*self.inner[1::2], self.tail):  # begins as the identity, nearly
            nn.init.normal_(layer.weight, 0, 0.01 if layer is not self.tail else 1e-4)

    def forward(self, coded: Any, steps: Any) -> Any:
        """Pictures (n, 1, rows, columns) nearer to the slices. steps : (n,) indices."""
        blocks = functional.pixel_unshuffle(coded, BLOCK)
        plane = (steps / STEP_SCALE).view(-1, 1, 1, 1).expand(-1, 1, *blocks.shape[2:])
        state = functional.relu(self.head(torch.cat([blocks, plane], 1)))
        for first, second in zip(self.inner[0::2], self.inner[1::2], strict=True):
            state = functional.relu(state + second(functional.relu(first(state))))
        return coded + functional.pixel_shuffle(self.tail(state), BLOCK)

    def tensors(self) -> dict[str, NDArray[np.float16]]:
        """The weights as a model file names them."""
        layers = {"head": self.head, "tail": self.tail} | {f"inner.{n}": each for n, each in enumerate(self.inner)}
        found = {}
        for name, layer in layers.items():
            found[f"network.{name}"] = layer.weight.detach().cpu().numpy().astype(np.float16)
            found[f"network.{name}.bias"] = layer.bias.detach().cpu().numpy().astype(np.float16)
        return found


@dataclass(slots=True)
class Training:
    """A training under way: everything that a checkpoint holds."""

    network: RepairNetwork
    optimiser: Any
    step: int = 0
    best_loss: float = math.inf
    best: Mapping[str, NDArray[np.float16]] | None = None
    worse: int = 0  # validations since the best one


def start(recipe: Recipe) -> Training:
    """A new training, on the GPU where there is one. The same seed gives the same beginning."""
    torch.manual_seed(recipe.seed)
    network = RepairNetwork(recipe.channels, recipe.layers).to(device())
    return Training(network, torch.optim.Adam(network.parameters(), lr=LEARNING_RATE))


def device() -> str:
    """Where networks are trained."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def is_done(training: Training, recipe: Recipe) -> bool:
    """Whether all steps are done, or validation has not become better for too long."""
    return training.step >= recipe.steps or training.worse >= recipe.patience


def advance(
    training: Training, recipe: Recipe, pairs: Sequence[Pairs], unseen: Sequence[Pairs],
    saved: Callable[[Training, str], None],
) -> None:  # fmt: skip
    """Train until the recipe's steps are done or validation does not get better.

    `saved` is called after each validation, with the state and its losses in words. Several processes average their
    gradients. Raises TrainingError when a loss is no number: the state last saved is whole.
    """
    shares = np.array([len(each.wanted) * math.sqrt(each.wanted[0].size) for each in pairs])  # large ones take longer
    while not is_done(training, recipe):
        random = np.random.default_rng([recipe.seed, training.step, _rank()])
        loss = _step(training, recipe, pairs[random.choice(len(pairs), p=shares / shares.sum())], random)
        training.step += 1
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is not a number after {training.step} steps: the training stops here")
        if training.step % recipe.validate_every == 0 or training.step == recipe.steps:
            saved(training, _validate(training, unseen))


def _step(training: Training, recipe: Recipe, pairs: Pairs, random: np.random.Generator) -> float:
    progress = training.step / recipe.steps
    rate = LEARNING_RATE * min(1, (training.step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * progress))
    for group in training.optimiser.param_groups:
        group["lr"] = rate
    chosen = random.choice(len(pairs.wanted), min(BATCH, len(pairs.wanted)), replace=False)
    error, similarity = _judge(training.network, pairs, chosen)
    loss = (error + SSIM_SHARE * (1 - similarity)).mean()
    training.optimiser.zero_grad()
    loss.backward()
    _average_gradients(training.network)
    nn.utils.clip_grad_norm_(training.network.parameters(), GRADIENT_LIMIT)
    training.optimiser.step()
    return float(loss.detach())


def _validate(training: Training, unseen: Sequence[Pairs]) -> str:
    errors, similarities = [], []
    with torch.no_grad():
        for pairs in unseen:
            for chosen in np.array_split(np.arange(len(pairs.wanted)), -(-len(pairs.wanted) // BATCH)):
                error, similarity = _judge(training.network, pairs, chosen)
                errors += error.tolist()
                similarities += similarity.tolist()
    error, similarity = float(np.mean(errors)), float(np.mean(similarities))
    loss = error + SSIM_SHARE * (1 - similarity)
    if not math.isfinite(loss):
        raise TrainingError(f"the validation's loss is not a number after {training.step} steps")
    if loss < training.best_loss:
        training.best_loss, training.best, training.worse = loss, training.network.tensors(), 0
    else:
        training.worse += 1
    return f"error {error:.4f}, SSIM {similarity:.4f}"


def _judge(network: RepairNetwork, pairs: Pairs, chosen: NDArray[Any]) -> tuple[Any, Any]:
    """Relative error and SSIM of each chosen picture."""
    where = device()
    wanted, coded = (
        torch.from_numpy(each[chosen].astype(np.float32))[:, None].to(where) for each in (pairs.wanted, pairs.coded)
    )
    shown = network(coded, torch.from_numpy(pairs.steps[chosen]).to(where))
    lost = (shown - wanted).square().sum((1, 2, 3)).add(1e-8).sqrt()
    return lost / wanted.square().sum((1, 2, 3)).sqrt().clamp(min=1e-3), _ssim(wanted, shown)


def _ssim(x: Any, y: Any) -> Any:
    def mean(values: Any) -> Any:
        return functional.avg_pool2d(values, WINDOW, 1)

    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    mean_x, mean_y = mean(x), mean(y)
    variances = (mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2) * unbiased
    covariance = (mean(x * y) - mean_x * mean_y) * unbiased
    top = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
    return (top / ((mean_x**2 + mean_y**2 + 0.01**2) * (variances + 0.03**2))).mean((1, 2, 3))


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _average_gradients(network: RepairNetwork) -> None:
    if not torch.distributed.is_initialized():
        return
    world = torch.distributed.get_world_size()
    flat = torch.cat([each.grad.ravel() for each in network.parameters()])
    torch.distributed.all_reduce(flat)
    place = 0
    for each in network.parameters():
        each.grad.copy_(flat[place : place + each.numel()].view_as(each) / world)
        place += each.numel()
