"""The integer transform against PyWavelets and floating-point lifting; norms and steps against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
from hypothesis import given
from hypothesis import strategies as st

from mripacs.codec.kwavelet.bands import LL, SYNTHESIS_NORMS, error_weights, subbands
from mripacs.codec.kwavelet.estimate import ErrorEstimate
from mripacs.codec.kwavelet.kernel import ClipRange, decode, quantise, quantise_sparsely, transform
from mripacs.codec.kwavelet.lifting import ALPHA, BETA, DELTA, FRACTION_BITS, GAMMA, forward, inverse, level_count
from mripacs.codec.kwavelet.quantiser import COEFFICIENT_LIMIT
from mripacs.codec.kwavelet.steps import MANTISSAS, STEP_COUNT, band_step, grey_levels, step_table
from tests.codec.images import arrays, extremes, phantom

LEVELS_OF_SIDES = {1: 0, 2: 0, 5: 0, 6: 1, 10: 1, 11: 2, 64: 4, 80: 4, 100: 5, 256: 6, 512: 6, 4096: 6}
# Daubechies and Sweldens (1998): 9/7 by lifting, and the scaling that the codec leaves out.
LIFTING = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
INTEGER_LIFTING = tuple(multiplier / 65536 for multiplier in (ALPHA, BETA, GAMMA, DELTA))
SCALING = 1.230174104914001


@given(arrays())
def test_inverse_undoes_forward_exactly(x: np.ndarray) -> None:
    levels = level_count(*x.shape)
    np.testing.assert_array_equal(inverse(forward(x, levels), levels, -(1 << 20), 1 << 20), x)


@pytest.mark.parametrize("size", LEVELS_OF_SIDES)
def test_level_count_follows_the_short_side(size: int) -> None:
    assert level_count(size, 5000) == level_count(5000, size) == LEVELS_OF_SIDES[size]


@given(st.integers(1, 300), st.integers(1, 300))
def test_bands_tile_the_image(rows: int, columns: int) -> None:
    covered = np.zeros((rows, columns), int)
    for band in subbands(rows, columns):
        assert covered[band.region].size
        covered[band.region] += 1
    assert (covered == 1).all()


def test_interior_coefficients_equal_those_of_pywavelets() -> None:
    x = phantom(128)
    coefficients = forward(x, 1) / 2.0**FRACTION_BITS
    low, details = pywt.dwt2(x.astype(float), "bior4.4", mode="symmetric")
    names = {"LL": low, "LH": details[1], "HL": details[0], "HH": details[2]}
    places = {"LL": np.s_[:64, :64], "LH": np.s_[:64, 64:], "HL": np.s_[64:, :64], "HH": np.s_[64:, 64:]}
    for name, place in places.items():
        ours, theirs = coefficients[place][8:-8, 8:-8], names[name]
        best = min(_misfit(ours, theirs[y : y + 48, x : x + 48]) for y in range(6, 14) for x in range(6, 14))
        assert best < 0.05  # grey levels, of some 1000: multipliers have 16 bits


def _misfit(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference after the one scale factor that fits best."""
    scale = float((ours * theirs).sum() / (theirs * theirs).sum())
    return float(np.abs(ours - scale * theirs).max())


def _float_lines(lines: np.ndarray, sign: int, lifting: tuple[float, ...] = LIFTING) -> np.ndarray:
    """Float lifting along axis 0 with symmetric extension: forward for sign 1, inverse for -1."""
    lines = lines.astype(float)
    for k in range(4) if sign > 0 else range(3, -1, -1):
        first = 1 - k % 2
        padded = np.concatenate([lines[1:2], lines, lines[-2:-1]])
        lines[first::2] += sign * lifting[k] * (padded[:-2] + padded[2:])[first::2]
    return lines


def test_integer_multipliers_are_the_rounded_ones() -> None:
    assert tuple(round(65536 * multiplier) for multiplier in LIFTING) == (ALPHA, BETA, GAMMA, DELTA)


@pytest.mark.parametrize("shape", [(64, 64), (37, 50), (6, 90)])
def test_one_level_is_float_lifting_within_rounding(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(2).integers(0, 65536, shape)
    rows = _float_lines(_float_lines(x.T, 1).T, 1)
    ordered = rows[np.r_[0 : shape[0] : 2, 1 : shape[0] : 2]][:, np.r_[0 : shape[1] : 2, 1 : shape[1] : 2]]
    assert (
        np.abs(forward(x, 1) / 2.0**FRACTION_BITS - ordered).max() < 6.5
    )  # 1e-4 of full scale: multipliers have 16 bits


def test_scaled_norms_are_those_of_the_scaled_transform() -> None:
    """With K scaling the LL norm of level 1 is 2-D orthonormal-like: 1.299 = 1.966 / K^2 (Taubman and Marcellin)."""
    low, _, diagonal = (norm / 65536 for norm in SYNTHESIS_NORMS[1])
    assert low * SCALING**2 == pytest.approx(1.9659, abs=2e-3)
    assert diagonal / SCALING**2 == pytest.approx(0.5202, abs=2e-3)


@pytest.mark.parametrize("level", range(1, 7))
def test_synthesis_norms(level: int) -> None:
    """Recompute each norm from a unit impulse, 1-D because the transform is separable."""
    norms = []
    for kind in (0, 1):
        line = np.zeros((256, 1))
        line[128 + kind] = 1
        for _ in range(level):
            line = _float_lines(line, -1, INTEGER_LIFTING)
            line, last = np.zeros((2 * len(line), 1)), line
            line[0::2] = last
        norms.append(float(np.linalg.norm(last)))
    low, high = norms
    assert SYNTHESIS_NORMS[level] == pytest.approx(tuple(65536 * n for n in (low * low, low * high, high * high)), 2e-4)


def test_mantissas_and_band_steps() -> None:
    assert list(MANTISSAS) == [round(2 ** (i / 64) * 2**30) for i in range(64)]
    for index in (32, 100, 640, 1535):
        for norm in (51591, 65536, 370577):
            exact = grey_levels(index) * 1024 / (norm / 65536)
            assert band_step(index, norm) == pytest.approx(exact, abs=0.51, rel=1e-8)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_any_image_stays_inside_the_coefficient_limit(dtype: type) -> None:
    for x in extremes(np.dtype(dtype)).values():
        assert np.abs(transform(x)).max() < COEFFICIENT_LIMIT // 4


def test_the_coarsest_step_quantises_everything_to_zero() -> None:
    x = np.full((256, 256), 65535, np.uint16)
    assert quantise(transform(x), STEP_COUNT - 1).nonzero == 0


def test_the_squared_error_in_the_coefficient_domain_is_near_the_real_one() -> None:
    x = phantom(128)
    for step in (200, 300, 400):
        quantised = quantise(transform(x), step)
        real = float(((decode(quantised, ClipRange.of(x)) - x.astype(int)) ** 2).sum())
        bands = subbands(128, 128)
        steps, weights = step_table(128, 128)[step], error_weights(128, 128)
        rough = sum(
            weights[b] * float(((transform(x)[band.region] - quantised.indices[band.region] * steps[b]) ** 2).sum())
            for b, band in enumerate(bands)
        )
        assert 0.8 < rough / real < 1.4
        assert bands[0].orientation == LL


def test_estimated_errors_lead_to_the_right_step() -> None:
    """One measured error scales the estimate to within a step of the grid (1.1 %) at steps near by."""
    x = phantom(128)
    estimate = ErrorEstimate(transform(x))

    def measured(step: int) -> float:
        decoded = decode(quantise_sparsely(transform(x), step), ClipRange.of(x))
        return float(((decoded - x.astype(int)) ** 2).sum())

    for step in (250, 300, 350):
        scale = measured(step) / estimate.squared(step)
        assert 0.8 < scale < 1.25
        for other in (step - 8, step + 8):
            assert measured(other) == pytest.approx(scale * estimate.squared(other), rel=0.025)
