"""Transform, quantiser and distances in vector arithmetic give the integers that version 1 gave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs.codec.kwavelet import distances, kernel, lifting, quantiser, swift_lifting
from mripacs.codec.kwavelet.bands import layout
from mripacs.codec.kwavelet.kernel import ClipRange, Quantised, decode, quantise, transform
from mripacs.codec.kwavelet.quantiser import ROUNDING_DETAIL, ROUNDING_LL, reconstruct
from mripacs.codec.kwavelet.steps import step_table
from tests.codec.images import TYPES, arrays, extremes, phantom


def integer_decode(quantised: Quantised, clip: ClipRange) -> np.ndarray:
    """Version 1's D: 64-bit integers throughout."""
    shape = quantised.indices.shape
    coefficients = np.empty(shape, np.int64)
    quantiser.dequantise(quantised.indices, layout(*shape), step_table(*shape)[quantised.step], coefficients)
    return lifting.inverse(coefficients, lifting.level_count(*shape), clip.low, clip.high)


@settings(max_examples=150)
@given(x=arrays(60), step=st.integers(32, 1200))
def test_transform_quantiser_and_reconstruction(x: np.ndarray, step: int) -> None:
    coefficients = lifting.forward(x, lifting.level_count(*x.shape))
    np.testing.assert_array_equal(transform(x), coefficients)
    indices = np.empty(x.shape, np.int32)
    nonzero = quantiser.quantise(coefficients, layout(*x.shape), step_table(*x.shape)[step], indices)
    found = quantise(transform(x), step)
    np.testing.assert_array_equal(found.indices, indices)
    assert found.nonzero == nonzero
    clip = ClipRange.of(x)
    np.testing.assert_array_equal(decode(found, clip), integer_decode(found, clip))


@pytest.mark.parametrize("size", [(256, 256), (515, 384), (129, 1000)])
def test_large_images(size: tuple[int, int]) -> None:
    x = np.resize(phantom(200), size)
    coefficients = transform(x)
    np.testing.assert_array_equal(coefficients, lifting.forward(x, lifting.level_count(*size)))
    quantised = quantise(coefficients, 300)
    np.testing.assert_array_equal(decode(quantised, ClipRange.of(x)), integer_decode(quantised, ClipRange.of(x)))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_extremes_of_every_type(dtype: np.dtype) -> None:
    for x in extremes(dtype).values():
        clip = ClipRange.of(x)
        for step in (32, 400, 900, 1500):
            quantised = quantise(transform(x), step)
            np.testing.assert_array_equal(decode(quantised, clip), integer_decode(quantised, clip))


def test_what_float64_does_not_hold_is_decoded_in_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coefficients that no 16-bit image has, but a payload may claim."""
    indices = np.full((40, 40), 1 << 12, np.int32)
    quantised, clip = Quantised(indices, 1000, indices.size), ClipRange(False, 16)
    coefficients = np.full((40, 40), swift_lifting.EXACT_BELOW)
    assert not swift_lifting.inverse(coefficients, 3, 0.0, 65535.0, np.empty((40, 40), np.int32))
    called = []
    wide = kernel._decode_wide
    monkeypatch.setattr(kernel, "_decode_wide", lambda *given: called.append(given) or wide(*given))
    np.testing.assert_array_equal(decode(quantised, clip), integer_decode(quantised, clip))
    assert called


def integer_distance(value: int, step: int, *, detail: bool) -> int:
    """Version 1's distance, in 1/256 step."""
    rounding = (step * (ROUNDING_DETAIL if detail else ROUNDING_LL)) >> 8
    return (abs(value - reconstruct((value + rounding) // step, step, detail)) << 8) // step


@settings(max_examples=100)
@given(x=arrays(40), step=st.integers(32, 1100))
def test_distances_are_those_of_version_1(x: np.ndarray, step: int) -> None:
    coefficients = transform(x)
    bands, table = layout(*x.shape), step_table(*x.shape)
    total = count = 0
    for (top, bottom, left, right, _, orientation), width in zip(bands.tolist(), table[step].tolist(), strict=True):
        for value in np.abs(coefficients[top:bottom, left:right]).astype(int).ravel().tolist():
            if value > (width * distances.SILENT) >> 8:
                total += integer_distance(value, width, detail=orientation >= 0)
                count += 1
    peaks = distances.peaks(coefficients, bands)
    for threshold in (44, *([total // count, total // count + 1] if count else [])):
        expected = total <= threshold * count
        assert distances.look_right(coefficients, bands, peaks, table[step], threshold) == expected


@settings(max_examples=40)
@given(values=st.lists(st.integers(1, 2**31), min_size=1, max_size=20), seed=st.integers(0, 2**32 - 1))
def test_mean_distances_are_those_of_version_1(values: list[int], seed: int) -> None:
    table = step_table(64, 64)
    of_band = np.random.default_rng(seed).integers(0, 10, len(values))
    columns = np.ascontiguousarray(table[:, :10].T, np.float64)
    found = distances.means(np.array(values), of_band, columns, 32, 44)
    for step in range(32, table.shape[0], 97):
        widths = table[step, of_band].tolist()
        near = [
            integer_distance(value, width, detail=band > 0)
            for value, width, band in zip(values, widths, of_band.tolist(), strict=True)
            if 2 * value > width
        ]
        plausible = bool(near) and sum(near) <= 44 * len(near)
        assert found[step] == (16 * sum(near) // len(near) if plausible else distances.IMPLAUSIBLE)
