"""`mripacs bench paper`: the study's experiments on a folder of images, from slices to a report."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mripacs
from mripacs.core.errors import SettingsError
from mripacs.quality.paper import figures
from mripacs.quality.paper.claims import PAPER_ERROR, PAPER_K, learned_claims, recursion_claims
from mripacs.quality.paper.k_wavelet import k_for_mean_error
from mripacs.quality.paper.recursion import Recursion, recursions, systems
from mripacs.quality.paper.report import Claim, learned_table, recursion_table, write_report
from mripacs.quality.slices import Slice

if TYPE_CHECKING:
    from mripacs.quality.paper.learning import Learned

SIDE = 256  # every slice of the study is resized to 256 x 256 (section II)
_MULTIPLE = 8  # of the sides that a transform of three levels takes
RESIZED, NATIVE = "resized to 256 x 256", "at native size"
Tick = Callable[[], None]
_PACKAGES = ("numpy", "imagecodecs", "PyWavelets", "pillow", "torch")  # that results depend on


@dataclass(frozen=True, slots=True)
class Study:
    """All that was measured."""

    k: Mapping[str, int]  # K for a mean error of 5 %, by preparation
    recursions: Mapping[str, tuple[Recursion, ...]]
    learned: tuple[Learned, ...]  # none where nothing was trained

    def claims(self) -> list[Claim]:
        """What the study says beside what was measured."""
        found = recursion_claims(self.recursions[RESIZED], self.k)
        return found + (learned_claims(self.learned) if self.learned else [])

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        chains = {name: [_without_picture(each) for each in group] for name, group in self.recursions.items()}
        learned = [_without_picture(each) for each in self.learned]
        return {"k": dict(self.k), "recursions": chains, "learned": learned}


def prepared(slices: Sequence[Slice]) -> dict[str, list[NDArray[Any]]]:
    """The slices as the study has them, resized, and as they are, cropped to sides that the transform takes.

    Negative stored values become 0: the study's images are magnitudes. Raises SettingsError when no slice is left.
    """
    images = [np.maximum(each.pixels, 0) for each in slices]
    native = [
        image[: image.shape[0] // _MULTIPLE * _MULTIPLE, : image.shape[1] // _MULTIPLE * _MULTIPLE] for image in images
    ]
    native = [image for image in native if image.size and image.any()]
    if not native:
        raise SettingsError(f"no image has sides of {_MULTIPLE} pixels or more")
    return {RESIZED: [_resized(image) for image in images], NATIVE: native}


def recursion_parts(slices: Sequence[Slice]) -> int:
    """How often `measure` calls its tick."""
    return sum(map(len, prepared(slices).values())) * len(systems(PAPER_K))


def measure(slices: Sequence[Slice], generations: int, tick: Tick, learned: Iterable[Learned] = ()) -> Study:
    """Figures 4 to 8 on both preparations, and what was learned. Nothing here is drawn at random."""
    k: dict[str, int] = {}
    found: dict[str, tuple[Recursion, ...]] = {}
    for name, images in prepared(slices).items():
        k[name] = k_for_mean_error(images, PAPER_ERROR)
        found[name] = tuple(recursions(images, systems(PAPER_K, target=PAPER_ERROR), generations, tick))
    return Study(k, found, tuple(learned))


def training_images(slices: Sequence[Slice]) -> list[NDArray[Any]]:
    """Slices for the networks: resized, those without any signal left out."""
    return [image for image in prepared(slices)[RESIZED] if image.any()]


def write(
    study: Study, slices: Sequence[Slice], training: Sequence[Slice], held_out: Sequence[Slice], out: Path, command: str
) -> list[Path]:
    """Figures, numbers and the report (Markdown and HTML) into the folder `out`; gives the files, the report first.

    training : what the networks were trained on. held_out : the subject whose middle slice their pictures show.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "measured.json").write_text(json.dumps(study.as_json(), indent=1), encoding="utf-8")
    tables = {f"Generations, {name}": recursion_table(group) for name, group in study.recursions.items()}
    if study.learned:
        tables["Networks"] = learned_table(study.learned)
    drawn = _draw(study, held_out, out)
    about = _about(slices, training if study.learned else (), held_out if study.learned else ())
    return [*write_report(out, command, about, study.claims(), tables, drawn), *drawn.values()]


def _about(slices: Sequence[Slice], training: Sequence[Slice], held_out: Sequence[Slice]) -> str:
    """What was measured on what, and with what."""
    said = [f"Recursions on {_described(slices)}."]
    if training:
        said.append(f"Networks trained on {_described(training)}, judged by {_described(held_out)}.")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES if _installed(name))
    return f"{' '.join(said)} mripacs {mripacs.__version__}, Python {platform.python_version()}, {versions}."


def _described(slices: Sequence[Slice]) -> str:
    vendors = ", ".join(sorted({each.vendor for each in slices}))
    return f"{len(slices)} slices of {len({each.series_instance_uid for each in slices})} series ({vendors})"


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _draw(study: Study, held_out: Sequence[Slice], out: Path) -> dict[str, Path]:
    resized = study.recursions[RESIZED]
    drawn = {
        "Figures 4 and 5: one slice, generation by generation": out / "generations.png",
        "Figures 6 and 7: generations in image space, from the original (star) on": out / "trajectories.png",
        "Figure 8: mean error against the original": out / "errors.png",
    }
    figures.draw_shown(resized, out / "generations.png")
    figures.draw_trajectories(resized, out / "trajectories.png")
    figures.draw_errors(study.recursions, out / "errors.png")
    if study.learned:
        images = training_images(held_out)
        original = images[len(images) // 2]
        drawn["Figures 9 to 11, 13, 14: a slice of the held-out subject"] = out / "networks.png"
        drawn["Figure 12: error of the networks on images"] = out / "latents.png"
        figures.draw_learned(original / original.max(), study.learned, out / "networks.png")
        figures.draw_latents(study.learned, out / "latents.png")
    return drawn


def _without_picture(each: Recursion | Learned) -> dict[str, Any]:
    values = asdict(each)
    del values["shown"]
    return values


def _resized(image: NDArray[Any]) -> NDArray[np.uint16]:
    """256 x 256 by bicubic interpolation, the shape not kept: as the study resizes."""
    scaled = Image.fromarray(image.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    stored: NDArray[np.uint16] = np.clip(np.rint(np.asarray(scaled)), 0, 65535).astype(np.uint16)
    return stored
