"""The study's learned systems, trained and judged: on images, on wavelet coefficients, at every latent size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mripacs.core.errors import SettingsError
from mripacs.quality.measure import relative_error
from mripacs.quality.paper.k_wavelet import from_map, kept_map
from mripacs.quality.paper.networks import CELLS, ConvolutionalAutoencoder, ShallowNetwork

EPOCHS = 250  # V.D
BATCHES = 2  # "half of the training set used as a batch"
LEARNING_RATE = 1e-3
FEATURES_K = 3000  # coefficients that the hybrid keeps before the network sees them
LATENTS = (
    12 * CELLS,
    4 * CELLS,
    CELLS,
    11 * 33,
    3 * 33,
)  # factors of 16 * 33 * 33; 363 and 99 are the study's smallest
FEWEST = 4  # slices to train on


@dataclass(frozen=True, slots=True)
class Learned:
    """One trained system on the held-out subject."""

    system: str
    figure: str
    latent: int
    latent_bytes: int  # as float32, as the study counts: 363 are 1452
    parameters: int
    train_loss: tuple[float, ...]  # mean squared error, by epoch
    mean_error: float  # relative Frobenius error on the held-out subject
    elsewhere_error: float | None  # on slices of other scanners; None where there were none
    shown: NDArray[np.float64]  # the reconstruction of the middle held-out slice, 1 for the original's maximum


@dataclass(frozen=True, slots=True)
class Experiment:
    """What to train, on what."""

    system: str
    figure: str
    network: Callable[[], nn.Module]
    on_wavelets: bool


def experiments() -> list[Experiment]:
    """Figures 9 to 14."""
    images = [
        Experiment(f"cnn, K = {latent}", "12 to 14", lambda latent=latent: ConvolutionalAutoencoder(latent), False)  # type: ignore[misc]
        for latent in LATENTS
    ]
    return [
        Experiment("shallow on wavelets, K = 363", "10", lambda: ShallowNetwork(363), True),
        Experiment("cnn on wavelets, no latent layer", "11", lambda: ConvolutionalAutoencoder(None), True),
        Experiment("hybrid: wavelets and cnn, K = 363", "9", lambda: ConvolutionalAutoencoder(363), True),
        *images,
    ]


def learn(
    training: Sequence[NDArray[Any]],
    held_out: Sequence[NDArray[Any]],
    elsewhere: Sequence[NDArray[Any]] = (),
    *,
    epochs: int = EPOCHS,
    seed: int = 1,
    tick: Callable[[], None],
) -> Iterator[Learned]:
    """Train and judge every system, on a subject and on slices from elsewhere; `tick` is called after each epoch.

    Images are (256, 256) and not constant zero.

    Raises SettingsError for too few images and for a loss that is no number.
    """
    if len(training) < FEWEST or not held_out:
        raise SettingsError(f"{len(training)} slices to train on and {len(held_out)} to judge by are too few")
    scaled, judged, others = ([_scaled(image) for image in images] for images in (training, held_out, elsewhere))
    for each in experiments():
        features = _Features.of(scaled) if each.on_wavelets else _Features.none()
        torch.manual_seed(seed)
        network = each.network()
        losses = _train(network, features.inputs(scaled), epochs, tick)
        images = _through(network, features, judged)
        latent = int(network.latent)
        yield Learned(
            system=each.system,
            figure=each.figure,
            latent=latent,
            latent_bytes=4 * latent,
            parameters=sum(values.numel() for values in network.parameters()),
            train_loss=tuple(losses),
            mean_error=_mean_error(judged, images),
            elsewhere_error=_mean_error(others, _through(network, features, others)) if others else None,
            shown=images[len(images) // 2],
        )


@dataclass(frozen=True, slots=True)
class _Features:
    """What a network sees: the image, or its K largest coefficients divided by the largest of the training set."""

    scale: float | None

    @classmethod
    def none(cls) -> _Features:
        return cls(None)

    @classmethod
    def of(cls, images: Sequence[NDArray[np.float64]]) -> _Features:
        return cls(max(float(np.abs(kept_map(image, FEATURES_K)).max()) for image in images))

    def inputs(self, images: Sequence[NDArray[np.float64]]) -> torch.Tensor:
        maps = images if self.scale is None else [kept_map(image, FEATURES_K) / self.scale for image in images]
        return torch.from_numpy(np.stack(maps).astype(np.float32))[:, None]

    def image(self, output: NDArray[np.float32]) -> NDArray[np.float64]:
        values = output.astype(np.float64)
        return values if self.scale is None else from_map(values * self.scale)


def _through(
    network: nn.Module, features: _Features, images: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    with torch.no_grad():
        outputs = network(features.inputs(images)).numpy()[:, 0]
    return [features.image(output) for output in outputs]


def _mean_error(images: Sequence[NDArray[np.float64]], shown: Sequence[NDArray[np.float64]]) -> float:
    return float(np.mean([relative_error(x, y) for x, y in zip(images, shown, strict=True)]))


def _train(network: nn.Module, inputs: torch.Tensor, epochs: int, tick: Callable[[], None]) -> list[float]:
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)  # 47 million weights: half the time
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in inputs[torch.randperm(len(inputs))].chunk(BATCHES):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(batch), batch)
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(batch) / len(inputs)
        if not np.isfinite(total):
            raise SettingsError("the training's loss is no number any more: its images cannot be learned from")
        losses.append(total)
        tick()
    return losses


def _scaled(image: NDArray[Any]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = image / max(1, int(image.max()))
    return scaled
