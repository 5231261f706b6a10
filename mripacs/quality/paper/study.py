"""`mripacs bench paper`: the study's experiments on a folder of images, from slices to a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mripacs.core.errors import SettingsError
from mripacs.quality.paper import figures
from mripacs.quality.paper.k_wavelet import equation_7_bytes, k_for_mean_error
from mripacs.quality.paper.recursion import Recursion, recursions, systems
from mripacs.quality.paper.report import Claim, write_report
from mripacs.quality.slices import Slice

SIDE = 256  # every slice of the study is resized to 256 x 256 (section II)
PAPER_K = 3000
PAPER_ERROR = 0.05
_MULTIPLE = 8  # of the sides that a transform of three levels takes
RESIZED, NATIVE = "resized to 256 x 256", "native size"
Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Study:
    """All that was measured."""

    k: Mapping[str, int]  # K for a mean error of 5 %, by preparation
    recursions: Mapping[str, tuple[Recursion, ...]]

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        chains = {name: [asdict(each) for each in group] for name, group in self.recursions.items()}
        for group in chains.values():
            for each in group:
                del each["shown"]
        return {"k": dict(self.k), "recursions": chains}


def prepared(slices: Sequence[Slice]) -> dict[str, list[NDArray[Any]]]:
    """The slices as the study has them, resized, and as they are, cropped to sides that the transform takes.

    Negative stored values become 0: the study's images are magnitudes. Raises SettingsError when no slice is left.
    """
    images = [np.maximum(each.pixels, 0) for each in slices]
    native = [image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8] for image in images]
    native = [image for image in native if image.size and image.any()]
    if not native:
        raise SettingsError(f"no image has sides of {_MULTIPLE} pixels or more")
    return {RESIZED: [_resized(image) for image in images], NATIVE: native}


def parts(slices: Sequence[Slice]) -> int:
    """How often `run` calls its tick."""
    return sum(map(len, prepared(slices).values())) * len(systems(PAPER_K))


def run(slices: Sequence[Slice], generations: int, tick: Tick) -> Study:
    """Figures 4 to 8 on both preparations. Deterministic: nothing here is drawn at random."""
    k: dict[str, int] = {}
    found: dict[str, tuple[Recursion, ...]] = {}
    for name, images in prepared(slices).items():
        k[name] = k_for_mean_error(images, PAPER_ERROR)
        found[name] = tuple(recursions(images, systems(PAPER_K, target=PAPER_ERROR), generations, tick))
    return Study(k, found)


def write(study: Study, slices: Sequence[Slice], out: Path, command: str) -> list[Path]:
    """Figures, numbers and the report (Markdown and HTML) into the folder `out`; gives the files, the report first."""
    out.mkdir(parents=True, exist_ok=True)
    resized = study.recursions[RESIZED]
    drawn = {
        "Figures 4 and 5: one slice, generation by generation": out / "generations.png",
        "Figures 6 and 7: generations in image space, from the original (star) on": out / "trajectories.png",
        "Figure 8: mean error against the original": out / "errors.png",
    }
    figures.draw_shown(resized, out / "generations.png")
    figures.draw_trajectories(resized, out / "trajectories.png")
    figures.draw_errors(study.recursions, out / "errors.png")
    (out / "measured.json").write_text(json.dumps(study.as_json(), indent=1), encoding="utf-8")
    vendors = ", ".join(sorted({each.vendor for each in slices}))
    about = f"{len(slices)} slices of {len({each.series_instance_uid for each in slices})} series ({vendors})"
    return [*write_report(out, command, about, claims(study), study.recursions, drawn), *drawn.values()]


def claims(study: Study) -> list[Claim]:
    """What the study says, what was measured, and whether it holds here."""
    resized = {each.system: each for each in study.recursions[RESIZED]}
    last = {name: each.mean_errors[-1] for name, each in resized.items()}
    count = len(resized["kwavelet"].mean_errors)
    paper, ours = resized["paper-kwavelet"], resized["kwavelet"]
    jpeg = [name for name in resized if name.startswith("jpeg q")]
    drift = max(last[name] / resized[name].mean_errors[0] for name in [*jpeg, "jpeg rewindowed"])
    return [
        Claim(
            "IV.A, Figure 4: recursive JPEG reduces an image to pure noise after a few iterations",
            f"after {count}: "
            + ", ".join(f"{name} {last[name]:.1%}" for name in [*jpeg, "jpeg rewindowed", "jpeg rate"]),
            any(last[name] > 0.5 for name in jpeg),
        ),
        Claim(
            "Figure 8: the error of JPEG drifts further with each generation",
            f"last over first error at most {drift:.2f}; unchanged from generation "
            + ", ".join(f"{resized[name].unchanged_from or 'never'} ({name})" for name in jpeg),
            drift > 1.5,
        ),
        Claim(
            "IV.A: JPEG 2000 is not immune",
            f"constant PSNR {resized['jpeg2000'].mean_errors[0]:.1%} to {last['jpeg2000']:.1%}, "
            f"constant bytes {resized['jpeg2000 rate'].mean_errors[0]:.1%} to {last['jpeg2000 rate']:.1%}",
            last["jpeg2000"] > 1.2 * resized["jpeg2000"].mean_errors[0],
        ),
        Claim(
            "IV.B: K = 2896 gives 5 % mean error",
            f"K = {study.k[RESIZED]} resized, {study.k[NATIVE]} at native size; "
            f"K = {PAPER_K} gives {paper.mean_errors[0]:.1%} resized",
            abs(study.k[RESIZED] / 2896 - 1) < 0.2,
        ),
        Claim(
            "IV.C: only the first compression loses, every later one is lossless",
            f"floats: unchanged from generation {resized['paper-kwavelet float'].unchanged_from or 'never'}, "
            f"{_spread(resized['paper-kwavelet float'])}; rounded to stored integers: "
            f"{paper.unchanged_from or 'never'}, {_spread(paper)}; ours: {ours.unchanged_from or 'never'}",
            paper.unchanged_from is not None and paper.unchanged_from <= 1,
        ),
        Claim(
            "IV.C: each compression takes 14.4 KB",
            f"equation 7 gives {equation_7_bytes(PAPER_K):.0f} bytes; ours at {PAPER_ERROR:.0%}: "
            f"{ours.mean_bytes:.0f} bytes",
            abs(equation_7_bytes(PAPER_K) / 14400 - 1) < 0.05,
        ),
    ]


def _spread(each: Recursion) -> str:
    return f"error {each.mean_errors[0]:.3%} to {each.mean_errors[-1]:.3%}"


def _resized(image: NDArray[Any]) -> NDArray[np.uint16]:
    """256 x 256 by bicubic interpolation, the shape not kept: as the study resizes."""
    scaled = Image.fromarray(image.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    stored: NDArray[np.uint16] = np.clip(np.rint(np.asarray(scaled)), 0, 65535).astype(np.uint16)
    return stored
