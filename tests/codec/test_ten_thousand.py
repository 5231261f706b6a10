"""Ten thousand arrays of every shape from 1 x 1 to 40 x 40, and every promise about each, for both efforts."""

from __future__ import annotations

import numpy as np
import pytest

from mripacs.codec.kwavelet.codec import KWaveletCodec
from mripacs.codec.repack import repack
from mripacs.core.model import Effort, Generation, Target, TargetKind
from tests.codec.images import TYPES

CODEC = KWaveletCodec()
ARRAYS, LARGEST = 10_000, 40
PARTS = 10
KINDS = ("noise", "smooth", "sparse", "masked", "two values", "ends", "steps")
TARGETS = (
    Target(TargetKind.REL_ERROR, 0.05),
    Target(TargetKind.REL_ERROR, 0.005),
    Target(TargetKind.MAX_ERROR, 3),
    Target(TargetKind.K, 20),
    Target(TargetKind.NOISE, 0.5),
)


def made(number: int) -> np.ndarray:
    """The array of that number: every shape six times, the other properties drawn from the number."""
    generator = np.random.default_rng((40, number))
    shape = number % LARGEST + 1, number // LARGEST % LARGEST + 1
    dtype = TYPES[generator.integers(len(TYPES))]
    limits = np.iinfo(dtype)
    low, high = np.sort(generator.integers(limits.min, limits.max, 2, endpoint=True))
    if generator.random() < 0.5:  # as scanners use their range
        low, high = max(low % 2, limits.min), min(low % 2 + int(generator.integers(1, 4096)), limits.max)
    y, x = np.mgrid[: shape[0], : shape[1]] / LARGEST
    noise = generator.random(shape)
    level = {
        "noise": noise,
        "smooth": 0.5 + 0.25 * (np.sin(5 * x + generator.random()) + np.cos(7 * y * generator.random())),
        "sparse": noise * (generator.random(shape) < 0.05),
        "masked": noise * (np.hypot(x - 0.4, y - 0.4) < 0.3),
        "two values": (noise < 0.5).astype(float),
        "ends": np.where(noise < 0.3, 0.0, np.where(noise > 0.7, 1.0, noise)),
        "steps": np.floor(4 * x + 3 * y) / 7,
    }[KINDS[generator.integers(len(KINDS))]]
    return np.round(low + np.clip(level, 0, 1) * (high - low)).astype(dtype)


def check(x: np.ndarray, target: Target, effort: Effort) -> None:
    """Exact decoding, the target, stability under another target and effort, and the other effort's bytes."""
    first = CODEC.encode(x[None], target, effort=effort)
    y = CODEC.decode(first.payload)[0]
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, first.decoded[0])
    gap = x.astype(np.float64) - y
    if target.kind is TargetKind.REL_ERROR:
        assert np.linalg.norm(gap) <= target.value * np.linalg.norm(x.astype(np.float64)) * (1 + 1e-12)
    if target.kind is TargetKind.MAX_ERROR:
        assert np.abs(gap).max() <= target.value
    record = first.frames[0]
    if target.kind is TargetKind.K and record.generation is Generation.FIRST_LOSS:
        assert record.k is None or record.k <= target.value
    if target.kind is TargetKind.NOISE and record.noise is not None:
        assert (gap**2).sum() <= target.value * record.noise**2 * x.size * (1 + 1e-12)
    other = repack(first.payload, Effort.SMALL if effort is Effort.FAST else Effort.FAST)
    np.testing.assert_array_equal(CODEC.decode(other)[0], y)
    if record.generation is not Generation.LOSSLESS:
        second = CODEC.encode(y[None], Target(TargetKind.REL_ERROR, 0.2), effort=effort)
        np.testing.assert_array_equal(CODEC.decode(second.payload)[0], y)
        assert second.payload == first.payload


def test_k_holds_where_detection_finds_another_step() -> None:
    """Pixels of 20 coefficients at one step, and of 65 at the step that detection answers with."""
    check(made(1288), Target(TargetKind.K, 20), Effort.FAST)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("effort", list(Effort))
def test_all_promises(effort: Effort, part: int) -> None:
    for number in range(part, ARRAYS, PARTS):
        try:
            check(made(number), TARGETS[number % len(TARGETS)], effort)
        except AssertionError as error:
            raise AssertionError(f"array {number}, {TARGETS[number % len(TARGETS)]}: {error}") from error
