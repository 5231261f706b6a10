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
from mripacs.codec.kwavelet.mixing import COUNT_BITS, COUNT_LIMIT, HALF_SLOT, MAX_INPUTS, PROBABILITY_BITS, Machine
from mripacs.core.errors import CodecError

FILE_NAME = "tables_v1.npz"
DIGEST = "4c14c34181e79a96591ed4986d2b316432585e4204e038d6b90e1912b599ce03"


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything a coder needs to start; arrays are never changed."""

    slots: NDArray[np.int32]  # (SLOTS,) probability << COUNT_BITS | count
    weights: NDArray[np.int32]  # (WEIGHT_SETS, MAX_INPUTS) of the mixer, 16 fractional bits
    low_pass: NDArray[np.int32]  # (CLASSES, 25) prediction from the low-pass patch, 12 fractional bits
    sisters: NDArray[np.int32]  # (CLASSES, 2, 9) prediction from sister bands, 1/256 step per index
    neighbours: NDArray[np.int32]  # (CLASSES, NEIGHBOURS) prediction from coded neighbours, 1/256 step per index
    expected: NDArray[np.int32]  # (CLASSES, FEATURES) expected magnitude from its features, 12 fractional bits
    thresholds: NDArray[np.int32]  # (EXPECTED_LEVELS - 1,) of the expected magnitude, 1/64
    stretch: NDArray[np.int32]
    squash: NDArray[np.int32]
    reciprocal: NDArray[np.int32]
    rate: int  # learning rate of the mixer

    @property
    def expected_level(self) -> NDArray[np.int32]:
        """Level of each expected magnitude 0 to 4095, in 1/64."""
        return np.searchsorted(self.thresholds, np.arange(4096), side="right").astype(np.int32)

    def machine(self, buffer: NDArray[np.uint8], registers: NDArray[np.int64]) -> Machine:
        """A machine in its starting state."""
        return Machine(
            buffer,
            registers,
            self.slots.copy(),
            self.weights.copy(),
            self.stretch,
            self.squash,
            self.reciprocal,
            np.zeros(MAX_INPUTS, np.int64),
            np.zeros(MAX_INPUTS, np.int64),
            np.array([self.rate], np.int64),
        )

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


def untrained(rate: int = 6) -> Tables:
    """Tables that know nothing yet: every probability one half, every input with equal weight, no predictions."""
    logit = np.arange(-2048, 2048) / 256.0
    probability = (np.arange(4096) + 0.5) / 4096
    weights = np.full((shapes.WEIGHT_SETS, MAX_INPUTS), 20000, np.int32)
    expected = np.zeros((shapes.CLASSES, shapes.FEATURES), np.int32)
    expected[:] = [600, 600, 200, 200, 150, 150, 40, 40, 40, 60, 100, 400]
    return Tables(
        slots=np.full(shapes.SLOTS, HALF_SLOT, np.int32),
        weights=weights,
        low_pass=np.zeros((shapes.CLASSES, 25), np.int32),
        sisters=np.zeros((shapes.CLASSES, 2, 9), np.int32),
        neighbours=np.zeros((shapes.CLASSES, shapes.NEIGHBOURS), np.int32),
        expected=expected,
        thresholds=np.round(64 * np.geomspace(0.02, 16, shapes.EXPECTED_LEVELS - 1)).astype(np.int32),
        stretch=np.clip(np.round(256 * np.log(probability / (1 - probability))), -2047, 2047).astype(np.int32),
        squash=np.clip(np.round(65536 / (1 + np.exp(-logit))), 1, 65535).astype(np.int32),
        reciprocal=np.round(65536 / (np.arange(COUNT_LIMIT + 1) + 1.5)).astype(np.int32),
        rate=rate,
    )
