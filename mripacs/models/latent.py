"""A small picture as quantised numbers, and those numbers as bytes: the sparse latent of the preview codec."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import range_coder
from mripacs.core.errors import PayloadError
from mripacs.models import kernel
from mripacs.models.kernel import Odds, Trial
from mripacs.models.square import SIDE, Grid
from mripacs.models.transform import BANDS, Coefficients, analyse, synthesise

STEPS_PER_OCTAVE = 16
COARSEST = 48  # the step of index 0 is 2^3 times the picture's whole range: contrasts of one edge fit in 30 bytes
STEP_LIMIT = 207  # 2^-10: below the noise of any picture
USUAL_MEAN = 0.22  # of training pictures: the DC's difference to it is coded
CAPACITY = 1 << 16
# Lambda, in squared steps a bit: the slope of a uniform quantiser is 0.116 (6 dB a bit of step^2/12).
RATE_WEIGHT = 0.1
_CENTRES = np.array([0.0, 0.0, 0.0], np.float32)


@dataclass(frozen=True, slots=True)
class Latent:
    """Quantised coefficients of a picture."""

    grid: Grid
    step: int  # index: step_size gives the step
    low: NDArray[np.int32]  # (base_rows, base_columns)
    bands: NDArray[np.int32]  # (levels, BANDS, rows / 2, columns / 2)

    @property
    def nonzero(self) -> int:
        """How many numbers it has that are not zero."""
        return int(np.count_nonzero(self.low) + np.count_nonzero(self.bands))


def step_size(step: int) -> float:
    """The quantiser's step of an index."""
    return float(2.0 ** ((COARSEST - step) / STEPS_PER_OCTAVE))


def coefficients_of(picture: NDArray[np.float32], grid: Grid) -> Coefficients:
    """What is quantised: the picture's coefficients without the usual mean."""
    return analyse(picture - np.float32(USUAL_MEAN), grid)


def quantise(coefficients: Coefficients, grid: Grid, step: int, threshold: float = 0.5) -> Latent:
    """Numbers to the nearest step; magnitudes in the bands below `threshold` steps become zero."""
    size = step_size(step)
    scaled = coefficients.bands / size
    whole = np.sign(scaled) * np.floor(np.abs(scaled) + 1 - threshold)
    return Latent(grid, step, np.rint(coefficients.low / size).astype(np.int32), whole.astype(np.int32))


def reconstruct(latent: Latent) -> NDArray[np.float32]:
    """The picture that the numbers stand for, by the fixed transform alone."""
    size = np.float32(step_size(latent.step))
    coefficients = Coefficients(latent.low * size, latent.bands * size)
    return synthesise(coefficients, latent.grid) + np.float32(USUAL_MEAN)


def encode(latent: Latent, odds: Odds, ratio: NDArray[np.float32] | None = None, weight: float = RATE_WEIGHT) -> bytes:
    """Bytes of a latent. With `ratio` (|coefficient| / step) its bands' magnitudes are chosen anew, in place."""
    buffer, registers = range_coder.encoder(CAPACITY)
    grid = latent.grid
    kernel.code_low(buffer, registers, latent.low.ravel(), grid.base_columns, fineness(latent.step, grid), odds)
    levels = levels_used(latent.bands)
    _code_levels(buffer, registers, levels)
    _code_bands(buffer, registers, latent, levels, odds, trial(ratio, weight))
    return range_coder.finish(buffer, registers)


def decode(data: bytes, grid: Grid, step: int, odds: Odds) -> Latent:
    """The latent of bytes. Raises PayloadError when they end too early or claim what no encoder makes."""
    buffer, registers = range_coder.decoder(data)
    low = np.zeros(grid.base_rows * grid.base_columns, np.int32)
    kernel.code_low(buffer, registers, low, grid.base_columns, fineness(step, grid), odds)
    levels = _code_levels(buffer, registers, 0)
    if levels > grid.levels:
        raise PayloadError(f"a preview claims {levels} levels, its grid has {grid.levels}")
    bands = np.zeros((grid.levels, BANDS, grid.rows // 2, grid.columns // 2), np.int32)
    latent = Latent(grid, step, low.reshape(grid.base_rows, grid.base_columns), bands)
    _code_bands(buffer, registers, latent, levels, odds, trial(None, 0))
    if registers[range_coder.OVERRUN]:
        raise PayloadError("a preview ends before its numbers do")
    return latent


def ratios(coefficients: Coefficients, step: int) -> NDArray[np.float32]:
    """|coefficient| / step of the bands."""
    return np.asarray(np.abs(coefficients.bands) / np.float32(step_size(step)), np.float32)


def _code_bands(
    buffer: NDArray[np.uint8], registers: NDArray[np.int64], latent: Latent, levels: int, odds: Odds, trial: Trial
) -> None:
    rows, columns = latent.grid.base_rows, latent.grid.base_columns
    kernel.code_bands(buffer, registers, latent.bands, rows, columns, levels, latent.step, odds, trial, kernel.NOTHING)


def fineness(step: int, grid: Grid) -> int:
    """The step against the picture's size: coefficients of the LL grow with its side."""
    return step - COARSEST + round(STEPS_PER_OCTAVE * math.log2(math.sqrt(grid.rows * grid.columns) / SIDE))


def levels_used(bands: NDArray[np.int32]) -> int:
    """How many levels, from the coarsest, hold anything but zeros."""
    used = np.flatnonzero(bands.any(axis=(1, 2, 3)))
    return int(used[-1]) + 1 if used.size else 0


def _code_levels(buffer: NDArray[np.uint8], registers: NDArray[np.int64], levels: int) -> int:
    coder: Callable[..., int] = range_coder.code
    return sum(coder(buffer, registers, 32768, (levels >> place) & 1) << place for place in (2, 1, 0))


def trial(ratio: NDArray[np.float32] | None, weight: float) -> Trial:
    """What the kernel may choose from; without ratios, nothing."""
    if ratio is None:
        return Trial(np.zeros((1, 1, 1, 1), np.float32), 0.0, _bits(), _CENTRES)
    return Trial(ratio, weight, _bits(), _CENTRES)


@cache
def _bits() -> NDArray[np.float32]:
    return np.asarray(-np.log2((np.arange(4097) + 0.5) / 4097), np.float32)
