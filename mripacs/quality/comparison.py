"""`mripacs bench codecs`: the whole comparison, from slices to a page, in steps that report their progress."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mripacs.quality import figures
from mripacs.quality.coders import Coder
from mripacs.quality.curves import CurvePoint, Point, curve, measure_slice
from mripacs.quality.generations import Chain, chains
from mripacs.quality.report import page
from mripacs.quality.search import best_within_bytes, smallest_for_error
from mripacs.quality.slices import Slice, by_vendor

MAP_TARGET = 0.05  # the error maps compare coders at the bytes that our first coder needs for this error
Tick = Callable[[], None]  # called after each finished part


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was measured."""

    points: tuple[Point, ...]
    curves: Mapping[str, tuple[CurvePoint, ...]]
    chains: tuple[Chain, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, for JSON; an infinite PSNR is null."""
        text = {
            "points": [asdict(point) for point in self.points],
            "curves": {group: [asdict(point) for point in points] for group, points in self.curves.items()},
            "chains": [asdict(each) for each in self.chains],
        }
        return {key: _finite(value) for key, value in text.items()}


def parts(slices: Sequence[Slice], coders: Sequence[Coder]) -> int:
    """How often `compare` and `write` together call their tick."""
    return len(slices) + 2 * len(coders) + len(by_vendor(slices)) - 1


def compare(
    slices: Sequence[Slice], coders: Sequence[Coder], targets: Sequence[float], generations: int, tick: Tick
) -> Comparison:
    """Measure every coder on every slice, and its generations on the slice of the middle."""
    points: list[Point] = []
    for each in slices:
        points += measure_slice(each, coders, targets)
        tick()
    found: list[Chain] = []
    for _, _, each_chain in chains(coders, slices[len(slices) // 2].pixels, MAP_TARGET, generations):
        found += [each_chain] if each_chain is not None else []
        tick()
    vendors = [name for name in by_vendor(slices) if name != "all"]
    groups = {"all": points, **{name: [point for point in points if point.vendor == name] for name in vendors}}
    return Comparison(tuple(points), {name: tuple(curve(group)) for name, group in groups.items()}, tuple(found))


def write(
    comparison: Comparison, slices: Sequence[Slice], coders: Sequence[Coder], out: Path, command: str, tick: Tick
) -> list[Path]:
    """Draw everything into the folder `out`, made if it is not there; gives the files, the page first."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = {"Bits a pixel for an error; geometric means over series": out / "curves.png"}
    figures.draw_curves(comparison.curves, out / "curves.png")
    for vendor, group in by_vendor(slices).items():
        if vendor == "all":
            continue
        file = out / f"errors-{vendor.lower()}.png"
        _draw_maps(vendor, group[len(group) // 2], coders, file)
        drawn[f"{vendor}: errors at equal bytes ({coders[0].name} at {MAP_TARGET:.0%})"] = file
        tick()
    if comparison.chains:
        figures.draw_generations(comparison.chains, out / "generations.png")
        drawn[f"{len(comparison.chains[0].errors)} generations of one slice"] = out / "generations.png"
    (out / "measured.json").write_text(json.dumps(comparison.as_json(), indent=1), encoding="utf-8")
    report = out / "index.html"
    html = page("Codecs on MR slices", command, drawn, comparison.curves, comparison.chains)
    report.write_text(html, encoding="utf-8")
    return [report, *drawn.values(), out / "measured.json"]


def _draw_maps(vendor: str, each: Slice, coders: Sequence[Coder], file: Path) -> None:
    first = smallest_for_error(coders[0], each.pixels, MAP_TARGET)
    if first is None:
        return
    budget, decoded = len(first.payload), {}
    for coder in coders:
        coded = best_within_bytes(coder, each.pixels, budget)
        if coded is not None:
            decoded[coder.name] = (coded.pixels, f"{len(coded.payload)} bytes, {coded.error:.2%}")
    figures.draw_error_maps(f"{vendor}, {'x'.join(map(str, each.pixels.shape))}", each.pixels, decoded, file)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
