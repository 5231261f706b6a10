"""The preview codec: within its budget, near the slice, the same on every machine, and harmless when damaged."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mripacs import codec as kwavelet
from mripacs.core.errors import CodecInputError, PayloadError
from mripacs.models import codec, latent, making, model_file, wavelet
from mripacs.models.similarity import relative_error, ssim
from mripacs.models.square import SIDE, grid_for, to_square
from mripacs.models.transform import analyse, synthesise
from tests.models.slices_to_learn import dev_slices, middle_of_head

MODEL = model_file.default()
SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 90))
ARRAYS = hnp.arrays(
    st.sampled_from([np.uint8, np.int16, np.uint16]), SHAPES, elements={}, fill=st.nothing() | st.integers(0, 200)
)


@pytest.mark.parametrize(
    ("rows", "columns"), [(256, 256), (64, 64), (80, 80), (1024, 512), (189, 233), (1, 1000), (3, 2)]
)
def test_the_transform_comes_back(rows: int, columns: int) -> None:
    grid = grid_for(rows, columns)
    assert max(grid.rows, grid.columns) <= SIDE
    picture = np.random.default_rng(1).random((grid.rows, grid.columns), np.float32)
    assert np.abs(synthesise(analyse(picture, grid), grid) - picture).max() < 1e-5


@pytest.mark.parametrize("side", [64, 80, 96, 112, 128])
def test_small_slices_keep_their_pixels(side: int) -> None:
    assert (grid_for(side, side).rows, grid_for(side, side).columns) == (side, side)


@settings(max_examples=60)
@given(pixels=ARRAYS, budget=st.integers(codec.SMALLEST_BYTES, 500))
def test_any_slice_fits_any_budget(pixels, budget: int) -> None:
    payload = codec.encode(pixels, MODEL, budget)
    assert len(payload) <= budget
    shown = codec.decode(payload, MODEL).values(*pixels.shape)
    assert shown.shape == pixels.shape
    low, high = float(pixels.min()), float(pixels.max())
    slack = 1e-3 * max(abs(low), abs(high)) + 1e-3  # of the range's float16
    assert low - slack <= shown.min() <= shown.max() <= high + slack


@pytest.mark.parametrize("value", [0, 7, -3000, 65535])
def test_a_constant_slice_is_its_value(value: int) -> None:
    payload = codec.encode(np.full((40, 60), value, np.int32), MODEL)
    assert len(payload) <= 9
    assert codec.decode(payload, MODEL).values(40, 60) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(("budget", "error", "alike"), [(120, 0.235, 0.60), (400, 0.155, 0.72)])
def test_a_head_is_recognised(shared_data, budget: int, error: float, alike: float) -> None:
    pixels = middle_of_head(shared_data)
    shown = codec.decode(codec.encode(pixels, MODEL, budget), MODEL).values(*pixels.shape)
    assert relative_error(pixels, shown) < error
    assert ssim(pixels, shown) > alike


def test_every_slice_gets_better_with_more_bytes(shared_data) -> None:
    for each in dev_slices(shared_data)[::6]:
        errors = [
            relative_error(
                each.pixels, codec.decode(codec.encode(each.pixels, MODEL, size), MODEL).values(*each.pixels.shape)
            )
            for size in (120, 400)
        ]
        assert errors[1] < errors[0]


def test_numbers_come_back_exactly(shared_data) -> None:
    square = to_square(middle_of_head(shared_data))
    coefficients = latent.coefficients_of(square.pixels, square.grid)
    for step in (60, 100, 140):
        numbers = latent.quantise(coefficients, square.grid, step)
        data = latent.encode(numbers, MODEL.odds, latent.ratios(coefficients, step))
        again = latent.decode(data, square.grid, step, MODEL.odds)
        assert np.array_equal(again.bands, numbers.bands)
        assert np.array_equal(again.low, numbers.low)
        assert numbers.nonzero > 0


def test_another_models_preview_is_refused(shared_data) -> None:
    payload = bytearray(codec.encode(middle_of_head(shared_data), MODEL))
    payload[1] ^= 1
    with pytest.raises(PayloadError, match="another model"):
        codec.decode(bytes(payload), MODEL)


@settings(max_examples=80)
@given(data=st.binary(max_size=60), place=st.integers(0, 119), bit=st.integers(0, 7))
def test_damage_ends_in_an_error_or_a_picture(data: bytes, place: int, bit: int) -> None:
    whole = bytearray(codec.encode(np.outer(np.arange(90), np.arange(70)) % 97, MODEL))
    whole[place % len(whole)] ^= 1 << bit
    for hostile in (data, bytes([0xA0, MODEL.tag]) + data, bytes(whole), bytes(whole[: place % len(whole)])):
        with suppress(PayloadError):
            assert max(codec.decode(hostile, MODEL).picture.shape) <= SIDE


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 3, 4)), np.zeros((0, 4)), np.full((4, 4), np.nan), np.eye(4) * 1e9, np.zeros((4, 4), bool)]
)
def test_what_is_no_slice_is_refused(pixels) -> None:
    with pytest.raises(CodecInputError):
        codec.encode(pixels, MODEL)


def test_a_budget_that_is_too_small_is_refused() -> None:
    with pytest.raises(CodecInputError, match="48 bytes at least"):
        codec.encode(np.eye(64), MODEL, 47)


def test_auto_keeps_the_better_one(shared_data) -> None:
    pixels = middle_of_head(shared_data)
    learned, waves = (making.make(pixels, MODEL, name, 400) for name in ("sae", "kwavelet"))
    assert (making.codec_of(learned), making.codec_of(waves)) == ("sae", "kwavelet")
    assert len(waves) <= 400
    wanted = to_square(pixels).pixels
    losses = [making._loss(wanted, making.show(data, MODEL).picture) for data in (learned, waves)]
    chosen = making.make(pixels, MODEL, "auto", 400)
    assert making._loss(wanted, making.show(chosen, MODEL).picture) <= min(losses) * 1.02  # another bisection
    shown = making.show(waves, MODEL)
    assert relative_error(pixels, shown.values(*pixels.shape)) < 0.15
    assert relative_error(pixels, wavelet.decode(waves).values(*pixels.shape)) < 0.15


def test_kwavelet_says_at_once_that_it_cannot(shared_data, monkeypatch) -> None:
    encodes = []
    real = kwavelet.encode
    monkeypatch.setattr(kwavelet, "encode", lambda *given, **named: encodes.append(1) or real(*given, **named))
    with pytest.raises(CodecInputError, match=r"at an error of 5\.0%"):
        wavelet.encode(middle_of_head(shared_data), 120, 0.05)
    assert len(encodes) == 1


def test_a_picture_says_that_it_is_a_preview(shared_data) -> None:
    grey = making.show(making.make(middle_of_head(shared_data), MODEL, "sae", 120), MODEL).grey()
    assert grey.shape == (128, 128)
    assert grey.dtype == np.uint8
    assert b"preview" in making.to_png(grey)


def test_wide_slices_are_shown_wide() -> None:
    pixels = np.tile(np.arange(200), (50, 1))
    assert codec.decode(codec.encode(pixels, MODEL), MODEL).grey().shape == (32, 128)
