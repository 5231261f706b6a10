"""The constant tables of the entropy coder: fixed functions, trained weights and the state a frame starts from.

`tables_v1.npz` is part of the format: payloads of version 1 decode with these very integers. `train` makes such a file.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import shapes
from mripacs.codec.kwavelet.mixing import COUNT_LIMIT, HALF_SLOT, MAX_INPUTS, Machine, machine_of
from mripacs.core.errors import CodecError

FILE_NAME = "tables_v1.npz"
DIGEST = "fc6ec71350d26efffb57cbbb1cd092516f8d37cdaa1801dbc0e9ad9fbb7691d9"


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything a coder needs to start; arrays are never changed."""

    slots: NDArray[np.int32]  # (SLOTS,) probability << COUNT_BITS | count
    weights: NDArray[np.int32]  # (WEIGHT_SETS, MAX_INPUTS) of the mixer, 16 fractional bits
    lean_patch: NDArray[np.int32]  # (CLASSES, 25) of the low-pass patch in the lean, 12 fractional bits like the rest
    lean_sisters: NDArray[np.int32]  # (CLASSES, 2, 9)
    lean_neighbours: NDArray[np.int32]  # (CLASSES, NEIGHBOURS)
    size_patch: NDArray[np.int32]  # (CLASSES, 25) of the low-pass patch in the size logit
    size_features: NDArray[np.int32]  # (CLASSES, FEATURES) of the features' logarithms in the size logit
    logarithm: NDArray[np.int32]  # (LARGEST + 1,) 64 * log2(1 + 2 v)
    stretch: NDArray[np.int32]
    squash: NDArray[np.int32]
    reciprocal: NDArray[np.int32]
    rate: int  # learning rate of the mixer

    def machine(self, buffer: NDArray[np.uint8], registers: NDArray[np.int64]) -> Machine:
        """A machine in its starting state."""
        functions = self.stretch, self.squash, self.reciprocal
        return machine_of(buffer, registers, (self.slots, self.weights), functions, self.rate)

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        file = io.BytesIO()
        np.savez_compressed(file, **{name: getattr(self, name) for name in self.__slots__})
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Tables:
        """Tables from a file's bytes."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            fields: dict[str, Any] = {name: arrays[name] for name in arrays.files if name != "rate"}
            return cls(**fields, rate=int(arrays["rate"]))


@lru_cache(maxsize=1)
def shipped() -> Tables:
    """The tables in the package; raises CodecError if the file is not the one this version was made with."""
    content = resources.files(__package__).joinpath(FILE_NAME).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGEST:
        raise CodecError(f"{FILE_NAME} has SHA-256 {digest}, expected {DIGEST}: the installation is damaged")
    return Tables.from_bytes(content)


def untrained(rate: int) -> Tables:
    """Tables that know nothing yet: every probability one half, every input with equal weight, no predictions."""
    logit = np.arange(-2048, 2048) / 256.0
    probability = (np.arange(4096) + 0.5) / 4096
    weights = np.full((shapes.WEIGHT_SETS, MAX_INPUTS), 10000, np.int32)
    return Tables(
        slots=np.full(shapes.SLOTS, HALF_SLOT, np.int32),
        weights=weights,
        lean_patch=np.zeros((shapes.CLASSES, 25), np.int32),
        lean_sisters=np.zeros((shapes.CLASSES, 2, 9), np.int32),
        lean_neighbours=np.zeros((shapes.CLASSES, shapes.NEIGHBOURS), np.int32),
        size_patch=np.zeros((shapes.CLASSES, 25), np.int32),
        size_features=np.zeros((shapes.CLASSES, shapes.FEATURES), np.int32),
        logarithm=np.round(64 * np.log2(1 + 2 * np.arange(shapes.LARGEST + 1))).astype(np.int32),
        stretch=np.clip(np.round(256 * np.log(probability / (1 - probability))), -2047, 2047).astype(np.int32),
        squash=np.clip(np.round(65536 / (1 + np.exp(-logit))), 1, 65535).astype(np.int32),
        reciprocal=np.round(65536 / (np.arange(COUNT_LIMIT + 1) + 1.5)).astype(np.int32),
        rate=rate,
    )
