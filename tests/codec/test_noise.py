"""The noise of a slice: estimated on images whose noise is known, and as a target."""

from __future__ import annotations

import numpy as np
import pytest

from mripacs.codec.kwavelet.codec import KWaveletCodec
from mripacs.codec.kwavelet.kernel import transform
from mripacs.codec.kwavelet.noise import METHOD, estimate_noise
from mripacs.core.model import Generation, Target, TargetKind
from tests.codec.images import DEV_FOLDERS, DEV_SLICES, dev_slice

CODEC = KWaveletCodec()


def estimated(image: np.ndarray) -> float:
    pixels = np.round(image).astype(np.int32)
    return estimate_noise(pixels, transform(pixels))


def rician(sigma: float, *, masked: bool = False, side: int = 256) -> np.ndarray:
    """A bright ellipse with a dark hole on air, magnitude of two noisy channels."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = 600.0 * ((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1) - 350 * (np.hypot(x, y) < 0.2)
    noise = np.random.default_rng(3).normal(0, sigma, (2, side, side))
    magnitude = np.hypot(image + noise[0], noise[1])
    return np.where(np.hypot(x, y) < 0.9, magnitude, 0) if masked else magnitude


@pytest.mark.parametrize("sigma", [2, 10, 40])
def test_white_noise(sigma: float) -> None:
    noise = np.random.default_rng(1).normal(0, sigma, (256, 256))
    assert estimated(2000 + noise) == pytest.approx(sigma, rel=0.04)


@pytest.mark.parametrize("sigma", [5, 20])
@pytest.mark.parametrize("masked", [False, True], ids=["air", "masked"])
def test_magnitude_images(sigma: float, masked: bool) -> None:
    assert estimated(rician(sigma, masked=masked)) == pytest.approx(sigma, rel=0.1)


def test_air_alone_is_never_overrated() -> None:
    air = np.hypot(*np.random.default_rng(2).normal(0, 12, (2, 256, 256)))
    assert 0.6 * 12 < estimated(air) < 12


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (20, 20)])
def test_too_little_to_tell(shape: tuple[int, int]) -> None:
    assert estimated(np.random.default_rng(0).normal(100, 5, shape)) == 0


def test_nothing_is_lost_of_an_image_without_noise() -> None:
    y, x = np.mgrid[:64, :64]
    steps = (100 * ((x // 16 + y // 16) % 2)).astype(np.uint16)
    encoded = CODEC.encode(steps[None], Target(TargetKind.NOISE, 0.5))
    assert encoded.frames[0].generation is Generation.LOSSLESS
    assert encoded.frames[0].noise == 0
    np.testing.assert_array_equal(encoded.decoded[0], steps)


@pytest.mark.parametrize("fraction", [0.25, 1.0])
def test_target_on_known_noise(fraction: float) -> None:
    image = np.round(rician(12)).astype(np.uint16)
    encoded = CODEC.encode(image[None], Target(TargetKind.NOISE, fraction))
    record = encoded.frames[0]
    lost = np.mean((encoded.decoded[0].astype(float) - image) ** 2)
    assert record.noise is not None
    assert record.noise_method == METHOD
    assert 0.93 * fraction * record.noise**2 <= lost <= fraction * record.noise**2


@pytest.mark.parametrize("name", [*DEV_SLICES, *DEV_FOLDERS])
def test_target_on_real_slices(shared_data, name: str) -> None:
    x = dev_slice(shared_data, name)
    encoded = CODEC.encode(x[None], Target(TargetKind.NOISE, 0.5))
    record = encoded.frames[0]
    assert record.noise is not None
    lost = np.mean((encoded.decoded[0].astype(float) - x) ** 2)
    assert lost <= 0.5 * record.noise**2
    if record.generation is Generation.FIRST_LOSS:
        again = CODEC.encode(encoded.decoded, Target(TargetKind.NOISE, 4))
        np.testing.assert_array_equal(again.decoded, encoded.decoded)
