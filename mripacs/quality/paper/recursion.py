"""Recursive compression over a test set (Figures 4 to 8): each system's error, generation by generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mripacs import codec
from mripacs.quality.coders import peer_coders
from mripacs.quality.measure import relative_error
from mripacs.quality.paper.k_wavelet import PaperKWavelet
from mripacs.quality.search import best_within_bytes, smallest_for_error

SHOWN = (1, 2, 10, 100)  # generations that figures show

Step = Callable[[NDArray[Any]], tuple[NDArray[Any], int]]
"""One generation: the image as it is decoded, in the type of its input, and the bytes in between."""


@dataclass(frozen=True, slots=True)
class System:
    """One way to compress again and again. `begin` looks at the original once and gives every generation's step."""

    name: str
    about: str
    begin: Callable[[NDArray[Any]], Step]


@dataclass(frozen=True, slots=True)
class Recursion:
    """One system over the test set."""

    system: str
    about: str
    mean_errors: tuple[float, ...]  # relative Frobenius error against the original, by generation from 1
    mean_bytes: float  # of the first generation
    unchanged_from: int | None  # generation after which no pixel of any slice changed again; None: still changing
    trajectories: tuple[tuple[float, float], ...]  # of one slice, in the plane of its two principal directions
    shown: dict[int, NDArray[Any]]  # that slice's generations


def recursions(
    images: Sequence[NDArray[Any]], systems: Sequence[System], generations: int, tick: Callable[[], None]
) -> Iterator[Recursion]:
    """Every system on every image; the image in the middle is the one that is shown."""
    for system in systems:
        chains = []
        for image in images:
            chains.append(_chain(system, image, generations))
            tick()
        shown = chains[len(chains) // 2]
        yield Recursion(
            system=system.name,
            about=system.about,
            mean_errors=tuple(np.mean([each.errors for each in chains], axis=0).tolist()),
            mean_bytes=float(np.mean([each.first_bytes for each in chains])),
            unchanged_from=_unchanged_from([each.changed for each in chains]),
            trajectories=_plane([images[len(images) // 2], *shown.images]),
            shown={number: shown.images[number - 1] for number in SHOWN if number <= generations},
        )


def systems(k: int, *, jpeg_qualities: Sequence[int] = (50, 75, 95), target: float = 0.05) -> list[System]:
    """The study's systems and ours. k : of its K-wavelet; target : first error of those that can be told one."""
    return [
        *(_jpeg_system(quality) for quality in jpeg_qualities),
        System("jpeg rewindowed", "8 bits, quality 50, each generation scaled to its own maximum", lambda _: _jpeg(50)),
        System("jpeg rate", "8 bits, quality searched for the first generation's bytes", _jpeg_at_rate),
        System("jpeg2000", "constant PSNR setting", lambda image: _jpeg2000(image, target, constant_rate=False)),
        System("jpeg2000 rate", "constant bytes", lambda image: _jpeg2000(image, target, constant_rate=True)),
        System("paper-kwavelet float", f"K = {k}, images kept as floats", lambda _: _k_wavelet(k, stored=False)),
        System("paper-kwavelet", f"K = {k}, images rounded to stored integers", lambda _: _k_wavelet(k, stored=True)),
        System("kwavelet", f"ours at {target:.0%}", lambda _: _ours(target)),
    ]


def _jpeg_system(quality: int) -> System:
    return System(f"jpeg q{quality}", "8 bits, constant quality", lambda image: _jpeg(quality, _window(image)))


@dataclass(frozen=True, slots=True)
class _Chain:
    errors: list[float]
    changed: list[bool]  # by generation: whether it differs from the one before (the first from the original)
    first_bytes: int
    images: list[NDArray[Any]]


def _chain(system: System, image: NDArray[Any], generations: int) -> _Chain:
    step = system.begin(image)
    chain, current = _Chain([], [], step(image)[1], []), image
    for _ in range(generations):
        after, _ = step(current)
        chain.errors.append(relative_error(image, after))
        chain.changed.append(not np.array_equal(after, current))
        chain.images.append(after)
        current = after
    return chain


def _unchanged_from(changes: Sequence[Sequence[bool]]) -> int | None:
    last = max((number for each in changes for number, changed in enumerate(each, 1) if changed), default=0)
    return None if last == len(changes[0]) and last > 1 else last


def _plane(images: Sequence[NDArray[Any]]) -> tuple[tuple[float, float], ...]:
    """The images as points of the plane that holds most of their spread, the original at the origin (Figures 6, 7)."""
    points = np.stack([image.astype(np.float64).ravel() for image in images])
    points -= points[0]
    directions = np.linalg.svd(points, full_matrices=False)[2][:2]
    return tuple((float(x), float(y)) for x, y in points @ directions.T)


def _window(image: NDArray[Any]) -> float:
    """What makes 8 bits of the image's values."""
    return 255 / max(1, int(image.max()))


def _jpeg(quality: int, window: float | None = None) -> Step:
    """One window for all generations, or each image's own, as programs do that show and save."""

    def step(image: NDArray[Any]) -> tuple[NDArray[Any], int]:
        scale = _window(image) if window is None else window
        payload = imagecodecs.jpeg8_encode(np.clip(np.rint(image * scale), 0, 255).astype(np.uint8), level=quality)
        return _as_type(imagecodecs.jpeg8_decode(payload) / scale, image), len(payload)

    return step


def _jpeg_at_rate(original: NDArray[Any]) -> Step:
    window = _window(original)
    budget = _jpeg(75, window)(original)[1]

    def step(image: NDArray[Any]) -> tuple[NDArray[Any], int]:
        low, high, best = 1, 100, _jpeg(1, window)(image)
        while low <= high:
            middle = (low + high) // 2
            found = _jpeg(middle, window)(image)
            if found[1] <= budget:
                best, low = found, middle + 1
            else:
                high = middle - 1
        return best

    return step


def _jpeg2000(original: NDArray[Any], target: float, *, constant_rate: bool) -> Step:
    [coder] = [each for each in peer_coders() if each.name == "jpeg2000"]
    first = smallest_for_error(coder, original, target)
    knob = first.knob if first else coder.knobs[-1]
    budget = len(first.payload) if first else original.nbytes

    def step(image: NDArray[Any]) -> tuple[NDArray[Any], int]:
        coded = best_within_bytes(coder, image, budget) if constant_rate else None
        payload = coded.payload if coded else coder.encode(image, knob)
        return _as_type(coder.decode(payload, image), image), len(payload)

    return step


def _k_wavelet(k: int, *, stored: bool) -> Step:
    def step(image: NDArray[Any]) -> tuple[NDArray[Any], int]:
        payload = PaperKWavelet(k).encode(image)
        decoded = PaperKWavelet.decode(payload)
        return (_as_type(decoded, image) if stored else decoded), len(payload)

    return step


def _ours(target: float) -> Step:
    def step(image: NDArray[Any]) -> tuple[NDArray[Any], int]:
        payload = codec.encode(image, target)
        return codec.decode(payload), len(payload)

    return step


def _as_type(values: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Rounded and clipped to the type's range, as an archive stores it; floats stay floats."""
    if like.dtype.kind == "f":
        return values
    limits = np.iinfo(like.dtype)
    stored: NDArray[Any] = np.clip(np.rint(values), limits.min, limits.max).astype(like.dtype)
    return stored
