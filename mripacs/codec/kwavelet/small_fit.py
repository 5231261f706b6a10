"""Fitting the nets of the `small` coder with PyTorch, in float, and rounding them. Only training needs this module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import small_shapes as shapes
from mripacs.codec.kwavelet.small_net import Weights
from mripacs.core.errors import CodecError

if TYPE_CHECKING:
    from mripacs.codec.kwavelet.small_samples import Samples

BATCH = 4096
RATE_FIRST = 2e-3  # of Adam, falling to zero as a cosine after WARM_UP steps
RATE_AGAIN = 1e-3  # of nets that were fitted before
WARM_UP = 200
ADAM = (0.9, 0.99)
FULL = 8.0  # activations are clipped to 0 ... 8
STORED_LIMIT = 32767


def fit(
    samples: Samples, table: NDArray[np.int16], epochs: float, seed: int, start: Any = None, rate: float = RATE_FIRST
) -> Any:
    """A PyTorch module that says how likely each decision is, trained on samples of one orientation.

    start : a module to go on from. Raises CodecError where PyTorch is not installed.
    """
    torch = _torch()
    torch.manual_seed(seed)
    places = len(samples)
    data = [torch.from_numpy(getattr(samples, name)) for name in type(samples).__slots__]
    *inputs, index, weight = data
    net = start or _module(torch, samples.outside.shape[1])
    optimiser = torch.optim.Adam(net.parameters(), lr=rate, betas=ADAM)
    steps, mean = max(1, int(epochs * places / BATCH)), float(weight.mean())
    sizes = torch.from_numpy(table.astype(np.float32) / shapes.UNIT)
    order = torch.randperm(places)
    for step in range(steps):
        first = step * BATCH % max(1, places - BATCH + 1)
        if first < BATCH:
            order = torch.randperm(places)
        chosen = order[first : first + BATCH]
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        logits = net(_inputs(torch, [each[chosen] for each in inputs], sizes))
        loss = (_bits(torch, logits, index[chosen]) * weight[chosen]).sum() / (mean * len(chosen))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415 - training only
    except ImportError as error:
        raise CodecError("training needs PyTorch: pip install 'mripacs[sae]'") from error
    return torch


def _module(torch: Any, outside: int) -> Any:
    hidden, second = shapes.HIDDEN, shapes.SECOND
    count = outside + 3 * len(shapes.NEAR) + shapes.WINDOWS + shapes.BAND_INPUTS
    clip = torch.nn.Hardtanh(0.0, FULL)
    layers = torch.nn.Linear(count, hidden), clip, torch.nn.Linear(hidden, second), clip
    return torch.nn.Sequential(*layers, torch.nn.Linear(second, shapes.OUTPUTS))


def _inputs(torch: Any, arrays: Sequence[Any], sizes: Any) -> Any:
    """The first layer's inputs (n, inputs), as the integers of the coder over UNIT."""
    outside, near, windows, band = arrays
    value = near.long()
    size = sizes[shapes.UNIT * value.abs()]
    level = torch.nn.functional.one_hot(band[:, 0].long() - 1, shapes.BAND_INPUTS - 1).float()
    parts = outside.float() / shapes.UNIT, torch.sign(value) * size, size, (value != 0).float()
    return torch.cat([*parts, windows.float() / shapes.UNIT, level, band[:, 1:].float() / shapes.UNIT], 1)


def _bits(torch: Any, logits: Any, index: Any) -> Any:
    """Nats (n,) that the decisions of each index cost: unary, sign, prefix of the escape."""
    unary, first = shapes.UNARY, shapes.FIRST_PREFIX
    cost = torch.nn.functional.binary_cross_entropy_with_logits
    magnitude = index.abs().long().unsqueeze(1)
    position = torch.arange(unary).unsqueeze(0)
    nats = (cost(logits[:, :unary], (magnitude > position).float(), reduction="none") * (magnitude >= position)).sum(1)
    nats = nats + cost(logits[:, shapes.SIGN], (index > 0).float(), reduction="none") * (index != 0)
    length = torch.floor(torch.log2((magnitude - unary + 1).clamp(min=1).float()))
    position = torch.arange(shapes.PREFIXES).unsqueeze(0)
    reached = (magnitude >= unary) & (length >= position)
    return nats + (cost(logits[:, first:], (length > position).float(), reduction="none") * reached).sum(1)


def rounded(net: Any, outside: int) -> Weights:
    """The module as integers. Half a unit is added where sums will be cut to activations."""
    (first, first_bias), (second, second_bias), (last, last_bias) = (
        (layer.weight.detach().numpy().T.astype(np.float64), layer.bias.detach().numpy().astype(np.float64))
        for layer in net
        if hasattr(layer, "weight")
    )
    unit, near = 1 << shapes.WEIGHT_BITS, 3 * len(shapes.NEAR)
    parts = np.split(_int16(first * unit), [outside, outside + near, outside + near + shapes.WINDOWS])
    inner = shapes.ACTIVATION_BITS + shapes.WEIGHT_BITS
    return Weights(
        parts[0],
        parts[1].reshape(3, len(shapes.NEAR), -1),
        parts[2],
        parts[3],
        _int32(first_bias * unit * shapes.UNIT + (1 << shapes.FIRST_SHIFT) / 2),
        _int16(second * unit),
        _int32(second_bias * (1 << inner) + (1 << shapes.SECOND_SHIFT) / 2),
        _int16(last * unit),
        _int32(last_bias * (1 << inner)),
    )


def restored(weights: Weights) -> Any:
    """The module that `rounded` made integers of, as exactly as those tell. Raises CodecError without PyTorch."""
    torch = _torch()
    net = _module(torch, len(weights.outside))
    unit, inner = 1 << shapes.WEIGHT_BITS, 1 << (shapes.ACTIVATION_BITS + shapes.WEIGHT_BITS)
    first = np.concatenate([weights.outside, weights.near.reshape(-1, shapes.HIDDEN), weights.windows, weights.band])
    last, last_bias = weights.last[:, : shapes.OUTPUTS], weights.last_bias[: shapes.OUTPUTS]
    stored = (
        (first, (weights.first_bias - (1 << shapes.FIRST_SHIFT) / 2) / (unit * shapes.UNIT)),
        (weights.second, (weights.second_bias - (1 << shapes.SECOND_SHIFT) / 2) / inner),
        (last, last_bias / inner),
    )
    with torch.no_grad():
        for layer, (values, bias) in zip((each for each in net if hasattr(each, "weight")), stored, strict=True):
            layer.weight.copy_(torch.from_numpy(values.T / unit))
            layer.bias.copy_(torch.from_numpy(bias))
    return net


def _int16(values: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.clip(np.round(values), -STORED_LIMIT, STORED_LIMIT).astype(np.int16)


def _int32(values: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(values).astype(np.int32)
