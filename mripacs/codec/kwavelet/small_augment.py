"""Other images that scanners might have made of the same anatomy: training data of the `small` coder's net.

A slice gets a smooth phase and goes to k-space, where it may lose its edges under a window (lower acquired resolution)
or gain zeros around (interpolation by zero filling); noise is complex, so the magnitude's is Rician. Grey levels are
scaled, orientation is free, small slices may come as a mosaic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOSAIC_SIDE = 128  # larger slices are not made into mosaics
LARGEST_SIDE = 300
# Probability of each change.
MOSAIC, NOISE, WINDOW, ZERO_FILL, K_SPACE, SCALE = 0.15, 0.4, 0.6, 0.4, 0.6, 0.3


def augmented(images: Sequence[NDArray[Any]], chosen: int, random: np.random.Generator) -> NDArray[np.uint16]:
    """A variation of images[chosen], (rows, columns) of uint16; a mosaic takes the others of its shape around it."""
    image = np.maximum(images[chosen], 0).astype(np.float64)
    if random.random() < MOSAIC and max(image.shape) <= MOSAIC_SIDE:
        image = _mosaic(images, chosen, random)
    if random.random() < K_SPACE:
        image = _through_k_space(image, random)
    if random.random() < SCALE:
        image = image * 2.0 ** random.uniform(-1, 2)
    turned = np.rot90(image, int(random.integers(4)))
    turned = turned.T if random.random() < 0.5 else turned
    return np.ascontiguousarray(np.clip(np.rint(turned), 0, 65535).astype(np.uint16))


def _mosaic(images: Sequence[NDArray[Any]], chosen: int, random: np.random.Generator) -> NDArray[np.float64]:
    shape, side = images[chosen].shape, int(random.integers(2, 4))
    near = [k for k in range(max(chosen - 20, 0), min(chosen + 20, len(images))) if images[k].shape == shape]
    picks = [np.maximum(images[near[int(k)]], 0) for k in random.integers(len(near), size=side * side)]
    return np.block([[picks[side * i + j] for j in range(side)] for i in range(side)]).astype(np.float64)


def _through_k_space(image: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in image.shape), indexing="ij")
    slopes = random.normal(size=5) * 1.5
    phase = slopes[0] * x + slopes[1] * y + slopes[2] * x * y + slopes[3] * x * x + slopes[4] * y * y
    signal = image * np.exp(1j * phase)
    if random.random() < NOISE:
        sigma = random.uniform(0.002, 0.03) * image.max()
        signal = signal + sigma * (random.normal(size=image.shape) + 1j * random.normal(size=image.shape))
    k_space = np.fft.fftshift(np.fft.fft2(signal))
    if random.random() < WINDOW:
        rows, columns = (_window(size, random) for size in image.shape)
        k_space = k_space * rows[:, None] * columns[None, :]
    if random.random() < ZERO_FILL:
        k_space = _resized(k_space, random.uniform(0.7, 1.8))
    return np.abs(np.fft.ifft2(np.fft.ifftshift(k_space)))


def _window(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """A Tukey window over the centred frequencies of one axis: 1 inside, a cosine flank, 0 beyond the cut."""
    cut, flank = random.uniform(0.5, 1.05), random.uniform(0.01, 0.4)
    frequency = np.abs(np.arange(size) - size // 2) / (size / 2)
    position = np.clip((frequency - cut * (1 - flank)) / (cut * flank), 0, 1)
    return 0.5 + 0.5 * np.cos(np.pi * position)


def _resized(k_space: NDArray[np.complex128], factor: float) -> NDArray[np.complex128]:
    """Centred k-space cut or filled with zeros to `factor` times its size, where that is a sensible image."""
    sizes = [int(size * factor) // 2 * 2 for size in k_space.shape]
    if not 40 <= min(sizes) <= max(sizes) <= LARGEST_SIDE:
        return k_space
    result = np.zeros(sizes, np.complex128)
    kept = [min(old, new) // 2 * 2 for old, new in zip(k_space.shape, sizes, strict=True)]
    inside = tuple(slice(new // 2 - keep // 2, new // 2 + keep // 2) for new, keep in zip(sizes, kept, strict=True))
    taken = tuple(
        slice(old // 2 - keep // 2, old // 2 + keep // 2) for old, keep in zip(k_space.shape, kept, strict=True)
    )
    result[inside] = k_space[taken]
    result *= sizes[0] * sizes[1] / (k_space.shape[0] * k_space.shape[1])
    return result
