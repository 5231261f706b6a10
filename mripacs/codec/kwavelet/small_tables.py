"""The tables of the `small` coder: three nets, the mixer's start, fixed functions. Named by the SHA-256 of their file.

`tables_small_N.npz` are part of the format: frames of modes 2 and 4 mean these very integers. Made by `small_train`.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import small_shapes as shapes
from mripacs.codec.kwavelet.mixing import (
    COUNT_LIMIT,
    HALF_SLOT,
    LOGIT_LIMIT,
    MAX_INPUTS,
    UNIT_WEIGHT,
    Machine,
    machine_of,
)
from mripacs.codec.kwavelet.small_net import Net, Weights, ready
from mripacs.core.errors import CodecError

# Files in the package and their SHA-256, by edition. Each edition has a mode of its own and stays for ever.
EDITIONS = {
    1: ("tables_small_1.npz", "b15a148a04d1bf2cf19fc5f565546dac6e3c5cfe9cea8445d6e0c172dfb709bb"),
    2: ("tables_small_2.npz", "6c2545932fe29ebcd538f38b8a87a2fc51aba16f9dd40e59e3b3c53b45ff7578"),
}
NEWEST = max(EDITIONS)


@dataclass(frozen=True)
class SmallTables:
    """Everything a coder needs to start; arrays are never changed."""

    weights: tuple[Weights, Weights, Weights]  # by orientation
    slots: NDArray[np.int32]  # (SLOTS,) probability << COUNT_BITS | count
    mixer: NDArray[np.int32]  # (WEIGHT_SETS, MAX_INPUTS), 16 fractional bits
    compressed: NDArray[np.int16]  # (COMPRESSED_SIZE,) 16 ln(1 + v / 16)
    stretch: NDArray[np.int32]
    squash: NDArray[np.int32]
    reciprocal: NDArray[np.int32]
    rate: int  # learning rate of the mixer

    @cached_property
    def nets(self) -> tuple[Net, Net, Net]:
        """The nets ready to run, by orientation. Raises CodecError for weights whose sums might not be exact."""
        first, second, third = (ready(weights, self.compressed) for weights in self.weights)
        return first, second, third

    def machine(self, buffer: NDArray[np.uint8], registers: NDArray[np.int64]) -> Machine:
        """A machine in its starting state."""
        functions = self.stretch, self.squash, self.reciprocal
        return machine_of(buffer, registers, (self.slots, self.mixer), functions, self.rate)

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        arrays: dict[str, Any] = {
            f"{field}_{o}": array for o, net in enumerate(self.weights) for field, array in net._asdict().items()
        }
        arrays |= {field.name: getattr(self, field.name) for field in fields(self) if field.name != "weights"}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> SmallTables:
        """Tables from a file's bytes. Raises CodecError for what is no such file, or has other shapes."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CodecError(f"not a table file of the small coder: {error}") from error
        return _checked(cls, arrays)


def _checked(cls: type[SmallTables], arrays: dict[str, NDArray[Any]]) -> SmallTables:
    model = untrained()
    try:
        nets = tuple(
            Weights(*(_same(arrays[f"{field}_{o}"], like) for field, like in net._asdict().items()))
            for o, net in enumerate(model.weights)
        )
        plain = {
            field.name: _same(arrays[field.name], getattr(model, field.name))
            for field in fields(cls)
            if field.name not in ("weights", "rate")
        }
        rate = int(arrays["rate"])
    except KeyError as error:
        raise CodecError(f"the table file lacks {error}") from error
    return cls(weights=nets, **plain, rate=rate)  # type: ignore[arg-type]


def _same(array: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    if array.shape != like.shape or array.dtype != like.dtype:
        raise CodecError(f"the table file has an array {array.dtype} {array.shape}, expected {like.dtype} {like.shape}")
    return array


@lru_cache(maxsize=len(EDITIONS))
def shipped(edition: int = NEWEST) -> SmallTables:
    """Tables in the package; raises CodecError if the file is not the one this version was made with."""
    name, expected = EDITIONS[edition]
    content = resources.files(__package__).joinpath(name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise CodecError(f"{name} has SHA-256 {digest}, expected {expected}: the installation is damaged")
    return SmallTables.from_bytes(content)


def untrained(rate: int = 6) -> SmallTables:
    """Tables that know nothing yet: nets without an opinion, every probability one half."""
    logit = np.arange(-2048, 2048) / 256.0
    probability = (np.arange(4096) + 0.5) / 4096
    mixer = np.zeros((shapes.WEIGHT_SETS, MAX_INPUTS), np.int32)
    mixer[:, 0] = UNIT_WEIGHT // 2
    mixer[:, 1:] = UNIT_WEIGHT // 40
    mixer[shapes.LOW_PASS_SET :, 1:] = UNIT_WEIGHT // 40
    mixer[shapes.ESCAPE_SET : shapes.BUCKET_SET, :] = UNIT_WEIGHT // 4
    mixer[shapes.ESCAPE_SET, :] = UNIT_WEIGHT
    mixer[shapes.QUIET_SET, :] = UNIT_WEIGHT
    mixer[shapes.NO_SET, :] = 0
    return SmallTables(
        weights=tuple(_silent(o) for o in shapes.ORIENTATIONS),  # type: ignore[arg-type]
        slots=np.full(shapes.SLOTS, HALF_SLOT, np.int32),
        mixer=mixer,
        compressed=np.minimum(np.round(16 * np.log1p(np.arange(shapes.COMPRESSED_SIZE) / 16)), 127).astype(np.int16),
        stretch=np.clip(np.round(256 * np.log(probability / (1 - probability))), -LOGIT_LIMIT, LOGIT_LIMIT).astype(
            np.int32
        ),
        squash=np.clip(np.round(65536 / (1 + np.exp(-logit))), 1, 65535).astype(np.int32),
        reciprocal=np.round(65536 / (np.arange(COUNT_LIMIT + 1) + 1.5)).astype(np.int32),
        rate=rate,
    )


def _silent(orientation: int) -> Weights:
    hidden, second, outputs = shapes.HIDDEN, shapes.SECOND, shapes.OUTPUTS
    return Weights(
        np.zeros((shapes.outside_inputs(orientation), hidden), np.int16),
        np.zeros((3, len(shapes.NEAR), hidden), np.int16),
        np.zeros((shapes.WINDOWS, hidden), np.int16),
        np.zeros((shapes.BAND_INPUTS, hidden), np.int16),
        np.zeros(hidden, np.int32),
        np.zeros((hidden, second), np.int16),
        np.zeros(second, np.int32),
        np.zeros((second, outputs), np.int16),
        np.zeros(outputs, np.int32),
    )
