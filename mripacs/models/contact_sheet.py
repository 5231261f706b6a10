"""A sheet to look at: each slice beside what every coder makes of it, with bytes, error and SSIM below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mripacs.core.errors import ModelError
from mripacs.models.evaluation import PreviewCoder, run_or_none
from mripacs.models.similarity import relative_error, ssim
from mripacs.models.slices import LabelledSlice
from mripacs.models.square import resize

TILE, CAPTION, GAP = 192, 14, 6  # pixels
_WHITE, _GREY = 255, 40


def draw(
    slices: Sequence[LabelledSlice], coders: Mapping[str, PreviewCoder], budgets: Sequence[int], file: Path
) -> None:
    """Write the sheet as a PNG: a row for each slice, a column for the original and for each coder at each budget.

    Raises ModelError when the file cannot be written.
    """
    columns = 1 + len(budgets) * len(coders)
    sheet = Image.new("L", (columns * (TILE + GAP) + GAP, len(slices) * (TILE + CAPTION + GAP) + GAP), _GREY)
    for row, each in enumerate(slices):
        tiles = [(each.pixels, "original {}x{}".format(*each.pixels.shape))]
        tiles += [_tile(each.pixels, name, coder, budget) for budget in budgets for name, coder in coders.items()]
        for column, (pixels, caption) in enumerate(tiles):
            _place(sheet, row, column, _grey(pixels, each.pixels), caption)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(file, "PNG")
    except OSError as error:
        raise ModelError(f"{file} cannot be written: {error.strerror}") from error


def _tile(pixels: NDArray[Any], name: str, coder: PreviewCoder, budget: int) -> tuple[NDArray[Any], str]:
    shown = run_or_none(coder, pixels, budget)
    if shown is None:
        return np.full_like(pixels, pixels.min()), f"{name}: not in {budget} B"
    error, alike = relative_error(pixels, shown.pixels), ssim(pixels, shown.pixels)
    return shown.pixels, f"{name} {shown.bytes} B  {error:.3f}  {alike:.3f}"


def _grey(pixels: NDArray[Any], original: NDArray[Any]) -> NDArray[np.uint8]:
    """0 to 255 over the original's range, without its brightest half per cent, on a tile at its aspect."""
    low, high = float(original.min()), float(np.percentile(original, 99.5))
    scaled = np.clip((pixels.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    rows, columns = (max(1, round(side * TILE / max(pixels.shape))) for side in pixels.shape)
    return np.rint(np.clip(resize(scaled, rows, columns), 0, 1) * 255).astype(np.uint8)


def _place(sheet: Image.Image, row: int, column: int, grey: NDArray[np.uint8], caption: str) -> None:
    left, top = GAP + column * (TILE + GAP), GAP + row * (TILE + CAPTION + GAP)
    sheet.paste(Image.fromarray(grey), (left, top))
    ImageDraw.Draw(sheet).text((left, top + TILE + 1), caption, fill=_WHITE)
