"""Rate-distortion: bytes that each coder needs for each error, slice by slice, and their means over series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mripacs.quality.coders import Coder
from mripacs.quality.measure import geometric_mean, psnr
from mripacs.quality.search import smallest_for_error
from mripacs.quality.slices import Slice

# Relative errors from where structure suffers to where only noise is left, the shipped policy's 5 % and 2 % among them.
TARGETS = (0.10, 0.07, 0.05, 0.035, 0.02, 0.014, 0.01)


@dataclass(frozen=True, slots=True)
class Point:
    """One slice at one target through one coder."""

    coder: str
    target: float
    vendor: str
    series_instance_uid: str
    label: str
    bits_per_pixel: float
    error: float
    psnr: float  # dB
    encode_seconds: float
    decode_seconds: float
    samples: int  # pixels of the slice


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Means over the series of a group: bits geometric, dB arithmetic; speeds are sums over sums."""

    coder: str
    target: float
    slices: int
    bits_per_pixel: float
    psnr: float
    encode_megapixels_per_second: float
    decode_megapixels_per_second: float


def measure_slice(each: Slice, coders: Sequence[Coder], targets: Sequence[float] = TARGETS) -> Iterator[Point]:
    """Every coder at every target that it reaches on this slice."""
    for coder in coders:
        for target in targets:
            coded = smallest_for_error(coder, each.pixels, target)
            if coded is None:
                continue
            yield Point(
                coder=coder.name,
                target=target,
                vendor=each.vendor,
                series_instance_uid=each.series_instance_uid,
                label=each.label,
                bits_per_pixel=len(coded.payload) * 8 / each.pixels.size,
                error=coded.error,
                psnr=psnr(each.pixels, coded.pixels),
                encode_seconds=coded.encode_seconds,
                decode_seconds=coded.decode_seconds,
                samples=each.pixels.size,
            )


def curve(points: Iterable[Point]) -> list[CurvePoint]:
    """One point for each coder and target, by coder and from coarse to fine."""
    groups: dict[tuple[str, float], list[Point]] = defaultdict(list)
    for point in points:
        groups[point.coder, point.target].append(point)
    return [_mean(coder, target, group) for (coder, target), group in groups.items()]


def _mean(coder: str, target: float, points: list[Point]) -> CurvePoint:
    series: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        series[point.series_instance_uid].append(point)
    finite = [value for value in (point.psnr for point in points) if value < float("inf")]
    samples = sum(point.samples for point in points) / 1e6
    return CurvePoint(
        coder=coder,
        target=target,
        slices=len(points),
        bits_per_pixel=geometric_mean(
            [geometric_mean([point.bits_per_pixel for point in group]) for group in series.values()]
        ),
        psnr=sum(finite) / len(finite) if finite else float("inf"),
        encode_megapixels_per_second=samples / sum(point.encode_seconds for point in points),
        decode_megapixels_per_second=samples / sum(point.decode_seconds for point in points),
    )
