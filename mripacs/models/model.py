"""A preview model: the entropy coder's odds, the decoder's network, and the card that says where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.digests import tensor_digest
from mripacs.core.errors import ModelError
from mripacs.models import kernel
from mripacs.models.kernel import Odds
from mripacs.models.network import BLOCK, Weights

ARCHITECTURE = "sae-1"  # another one has other tensors, other bytes and another name
BANDS, LL_SIDE, MAX_HIDDEN, MAX_CHANNELS, MAX_LAYERS = 15, 7, 64, 256, 16
_LARGEST = 1 << 24  # of an integer of the odds: keeps every sum of the coder inside its type


@dataclass(frozen=True)
class PreviewModel:
    """What encodes and decodes previews. Made by `build`, which checks every shape and range."""

    tensors: Mapping[str, NDArray[Any]]  # as in the file: "odds.NAME" int32, "network.NAME" float16
    card: Mapping[str, Any]  # data, seed, metrics, limits; JSON

    @cached_property
    def odds(self) -> Odds:
        """For the entropy coder."""
        return Odds(*(np.ascontiguousarray(self.tensors[f"odds.{name}"], np.int32) for name in Odds._fields))

    @cached_property
    def weights(self) -> Weights:
        """For the network; empty for a model without one."""
        start = "network."
        return {
            name.removeprefix(start): values.astype(np.float32)
            for name, values in self.tensors.items()
            if name.startswith(start)
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all tensors, names and shapes, in hexadecimal: the model's identity."""
        return tensor_digest(self.tensors)

    @property
    def tag(self) -> int:
        """First byte of the digest; each payload carries it."""
        return int(self.digest[:2], 16)


def build(tensors: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> PreviewModel:
    """A model of tensors. Raises ModelError for a name, shape, type or value that this architecture does not have."""
    architecture = card.get("architecture")
    if architecture != ARCHITECTURE:
        raise ModelError(f"the model is of architecture {architecture!r}, this version of mripacs takes {ARCHITECTURE}")
    shapes = _shapes(tensors)
    if set(tensors) != set(shapes):
        differing = ", ".join(sorted(set(tensors) ^ set(shapes)))
        raise ModelError(f"the model has not the tensors of {ARCHITECTURE}: {differing}")
    for name, shape in shapes.items():
        _check(name, tensors[name], shape)
    return PreviewModel(dict(tensors), dict(card))


def _shapes(tensors: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """The shapes that tensors must have, by name; hidden units and channels are free within limits."""
    hidden = _dimension(tensors, "odds.bias", 1, MAX_HIDDEN)
    shapes: dict[str, tuple[int, ...]] = {
        "odds.first": (kernel.INPUTS, hidden),
        "odds.bias": (BANDS, hidden),
        "odds.second": (kernel.OUTPUTS, hidden),
        "odds.offset": (BANDS, kernel.OUTPUTS),
        "odds.squash": (2 * kernel.LOGIT_LIMIT + 2,),
        "odds.logarithm": (256,),
        "odds.low_scale": (LL_SIDE, LL_SIDE),
        "odds.low_odds": (kernel.LL_BUCKETS, kernel.LL_LENGTHS),
    }
    channels = _dimension(tensors, "network.head", 0, MAX_CHANNELS)
    layers = sum(name.startswith("network.inner.") for name in tensors) // 2
    if layers % 2 or layers > MAX_LAYERS:
        raise ModelError(f"the network has {layers} inner layers; an even number up to {MAX_LAYERS} is taken")
    convolutions = {"head": (channels, BLOCK * BLOCK + 1), "tail": (BLOCK * BLOCK, channels)}
    convolutions |= {f"inner.{number}": (channels, channels) for number in range(layers)}
    for name, (out, into) in convolutions.items():
        shapes[f"network.{name}"], shapes[f"network.{name}.bias"] = (out, into, 3, 3), (out,)
    return shapes


def _dimension(tensors: Mapping[str, NDArray[Any]], name: str, axis: int, most: int) -> int:
    values = tensors.get(name)
    if values is None or values.ndim <= axis or not 1 <= values.shape[axis] <= most:
        raise ModelError(f"the model lacks the tensor {name}, or its shape is none of {ARCHITECTURE}'s")
    return int(values.shape[axis])


def _check(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    wanted = np.dtype(np.int32) if name.startswith("odds.") else np.dtype(np.float16)
    if values.shape != shape or values.dtype != wanted:
        raise ModelError(f"tensor {name} is {values.dtype} {values.shape}, not {wanted} {shape}")
    if not np.isfinite(values).all():
        raise ModelError(f"tensor {name} holds values that are not finite")
    odds = name in ("odds.squash", "odds.low_odds")
    if (odds and (values.min() < 1 or values.max() > 65535)) or np.abs(values.astype(np.float64)).max() > _LARGEST:
        raise ModelError(f"tensor {name} holds values out of range")
