"""Training of the entropy coder's odds: how often numbers occur beside which neighbours, learned by a small network.

The network is trained in floats and rounded to integers at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import softplus

from mripacs.codec.kwavelet import range_coder
from mripacs.core.errors import TrainingError
from mripacs.models import kernel, latent
from mripacs.models.kernel import INPUTS, LL_BUCKETS, LL_LENGTHS, LOGIT_LIMIT, OUTPUTS, UNARY_LIMIT, Odds
from mripacs.models.latent import Latent
from mripacs.models.model import BANDS, LL_SIDE
from mripacs.models.square import SIDE, grid_for

HIDDEN = 16
BATCH = 8192
LEARNING_RATE = 8e-3
EASY_SHARE = 0.15  # of the zeros among zeros that are looked at; they count so much more
_SCALE = 64.0  # of a hidden unit's integer
_ODDS_LIMITS = (24, 65512)  # in 1/65536: no decision costs more than 12 bits
Progress = Callable[[int, int, str], None]  # done, of, and the loss in words


def train_odds(
    pictures: Sequence[NDArray[np.float32]], earlier: Odds | None, epochs: int, seed: int, progress: Progress
) -> Odds:
    """Odds for pictures like these. With `earlier` odds, for the numbers that an encoder with those chooses.

    Raises TrainingError when the loss is no number.
    """
    random = np.random.default_rng(seed)
    tables = _fixed_tables(pictures)
    seen, lengths = _observe(pictures, earlier, tables, random)
    low_odds = np.clip(np.rint(65536 * lengths[..., 1] / lengths.sum(2)), *_ODDS_LIMITS).astype(np.int32)
    network = _fit(seen, epochs, seed, progress)
    return tables._replace(low_odds=low_odds, **network)


def sampled_step(bands: NDArray[np.float32], random: np.random.Generator) -> int:
    """A step at which a picture has 60 to 700 numbers: previews of 60 to 450 bytes."""
    wanted = int(math.exp(random.uniform(math.log(60), math.log(700))))
    magnitudes = np.abs(bands).ravel()
    wanted = min(wanted, magnitudes.size - 1)
    threshold = max(float(np.partition(magnitudes, -wanted - 1)[-wanted - 1]), 1e-4)
    step = round(latent.COARSEST - latent.STEPS_PER_OCTAVE * math.log2(threshold / 0.6))
    return min(max(step, 0), latent.STEP_LIMIT)


def _fixed_tables(pictures: Sequence[NDArray[np.float32]]) -> Odds:
    """Odds that know nothing but the LL's usual sizes and the tables of functions."""
    logits = np.arange(-LOGIT_LIMIT - 1, LOGIT_LIMIT + 1)
    squash = np.clip(np.rint(65536 / (1 + np.exp(-logits / 256))), *_ODDS_LIMITS)
    zeros = {
        "first": (INPUTS, HIDDEN), "bias": (BANDS, HIDDEN), "second": (OUTPUTS, HIDDEN), "offset": (BANDS, OUTPUTS)
    }  # fmt: skip
    return Odds(
        **{name: np.zeros(shape, np.int32) for name, shape in zeros.items()},
        squash=squash.astype(np.int32),
        logarithm=np.rint(16 * np.log2(1 + np.arange(256))).astype(np.int32),
        low_scale=_low_scale(pictures),
        low_odds=np.full((LL_BUCKETS, LL_LENGTHS), 32768, np.int32),
    )


def _low_scale(pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.int32]:
    total, count = np.full((LL_SIDE, LL_SIDE), 1e-3), np.full((LL_SIDE, LL_SIDE), 1e-3)
    for picture in pictures:
        low = latent.coefficients_of(picture, grid_for(*picture.shape)).low / (math.sqrt(picture.size) / SIDE)
        total[: low.shape[0], : low.shape[1]] += low.astype(np.float64) ** 2
        count[: low.shape[0], : low.shape[1]] += 1
    return np.asarray(np.rint(latent.STEPS_PER_OCTAVE * 0.5 * np.log2(total / count)), np.int32)


def _observe(
    pictures: Sequence[NDArray[np.float32]], earlier: Odds | None, tables: Odds, random: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Rows of inputs, band, magnitude and weight; and counts of the LL's lengths by bucket, length, one more bit."""
    rows, lengths = [], np.full((LL_BUCKETS, LL_LENGTHS, 2), 0.5)
    for picture in pictures:
        grid = grid_for(*picture.shape)
        coefficients = latent.coefficients_of(picture, grid)
        step = sampled_step(coefficients.bands, random)
        numbers = latent.quantise(coefficients, grid, step, 0.5 if earlier else 0.62)
        if earlier is not None:
            latent.encode(numbers, earlier, latent.ratios(coefficients, step))
        _count_lengths(numbers, tables, lengths)
        rows.append(_inputs(numbers, tables, random))
    return np.concatenate(rows), lengths


def _inputs(numbers: Latent, tables: Odds, random: np.random.Generator) -> NDArray[np.int16]:
    grid, levels = numbers.grid, latent.levels_used(numbers.bands)
    area = grid.base_rows * grid.base_columns
    seen = np.zeros((sum(3 * area << (2 * level) for level in range(levels)), INPUTS + 2), np.int16)
    buffer, registers = range_coder.encoder(latent.CAPACITY)
    kernel.code_bands(
        buffer, registers, numbers.bands, grid.base_rows, grid.base_columns, levels, numbers.step, tables,
        latent.trial(None, 0), seen,
    )  # fmt: skip
    easy = (seen[:, INPUTS + 1] == 0) & (seen[:, :9].sum(axis=1) == 0)
    weight = np.where(easy, round(100 / EASY_SHARE), 100).astype(np.int16)
    chosen = ~easy | (random.random(len(seen)) < EASY_SHARE)
    return np.asarray(np.column_stack([seen, weight])[chosen], np.int16)


def _count_lengths(numbers: Latent, tables: Odds, lengths: NDArray[np.float64]) -> None:
    for place, value in np.ndenumerate(numbers.low):
        usual = int(tables.low_scale[place]) + latent.fineness(numbers.step, numbers.grid)
        bucket, length = min(max(usual >> 2, 0), LL_BUCKETS - 1), int(abs(value)).bit_length()
        lengths[bucket, :length, 1] += 1
        if length < LL_LENGTHS:
            lengths[bucket, length, 0] += 1


def _fit(seen: NDArray[np.int16], epochs: int, seed: int, progress: Progress) -> dict[str, NDArray[np.int32]]:
    torch.manual_seed(seed)
    inputs = torch.from_numpy(seen[:, :INPUTS].astype(np.float32))
    band, magnitude = (torch.from_numpy(seen[:, INPUTS + k].astype(np.int64)) for k in (0, 1))
    weight = torch.from_numpy(seen[:, INPUTS + 2].astype(np.float32))
    first, second = torch.randn(INPUTS, HIDDEN) * 0.01, torch.randn(OUTPUTS, HIDDEN) * 0.1
    parameters = [first, torch.zeros(BANDS, HIDDEN), second, torch.zeros(BANDS, OUTPUTS)]
    for each in parameters:
        each.requires_grad_()
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    batches = -(-len(seen) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=epochs * batches)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(seen)).split(BATCH):
            bits = _bits(_logits(inputs[chosen], band[chosen], parameters), magnitude[chosen])
            loss = (bits * weight[chosen]).sum() / weight[chosen].sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise TrainingError("the odds' loss is not a number: no model was made")
        progress(epoch + 1, epochs, f"{total / batches:.4f} bits a number")
    return _rounded(parameters)


def _logits(inputs: Any, band: Any, parameters: list[Any]) -> Any:
    first, bias, second, offset = parameters
    return torch.relu(inputs @ first + bias[band]) @ second.T + offset[band]


def _bits(logits: Any, magnitude: Any) -> Any:
    """What the unary code of each magnitude costs, without its sign."""
    not_zero, above_one = (magnitude > 0).float(), (magnitude > 1).float()
    more = (magnitude.clamp(max=UNARY_LIMIT) - 2).clamp(min=0).float()
    ended = above_one * (magnitude < UNARY_LIMIT).float()
    cost = not_zero * softplus(-logits[:, 0]) + (1 - not_zero) * softplus(logits[:, 0])
    cost = cost + above_one * softplus(-logits[:, 1]) + (not_zero - above_one) * softplus(logits[:, 1])
    return (cost + more * softplus(-logits[:, 2]) + ended * softplus(logits[:, 2])) / math.log(2)


def _rounded(parameters: list[Any]) -> dict[str, NDArray[np.int32]]:
    first, bias, second, offset = (each.detach().numpy().astype(np.float64) for each in parameters)
    into, out = _SCALE * 2**kernel.FIRST_BITS, 256 * 2**kernel.WEIGHT_BITS / _SCALE
    scaled = {"first": first * into, "bias": bias * into, "second": second * out, "offset": offset * 256}
    return {name: np.rint(values).astype(np.int32) for name, values in scaled.items()}
