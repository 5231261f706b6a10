"""Generations: what came out of a lossy encode comes out of every later one unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs.codec.kwavelet import detect as detection
from mripacs.codec.kwavelet.codec import KWaveletCodec
from mripacs.codec.kwavelet.detect import detect
from mripacs.codec.kwavelet.kernel import ClipRange, decode, quantise, transform
from mripacs.core.model import Generation, Target, TargetKind
from tests.codec.images import DEV_FOLDERS, DEV_SLICES, arrays, dev_slice, phantom

CODEC = KWaveletCodec()
ERRORS = st.floats(0.005, 0.4)


def within(error: float) -> Target:
    return Target(TargetKind.REL_ERROR, error)


OTHER_TARGETS = (within(0.001), within(0.3), Target(TargetKind.MAX_ERROR, 1), Target(TargetKind.K, 3))


@settings(max_examples=80)
@given(x=arrays(), error=ERRORS)
def test_second_generation_is_the_first_whatever_the_target(x: np.ndarray, error: float) -> None:
    first = CODEC.encode(x[None], within(error))
    if first.frames[0].generation is Generation.LOSSLESS:
        return
    for target in OTHER_TARGETS:
        second = CODEC.encode(first.decoded, target)
        np.testing.assert_array_equal(second.decoded, first.decoded)
        assert second.frames[0].generation is not Generation.FIRST_LOSS
        assert second.payload == first.payload


@pytest.mark.parametrize("name", [*DEV_SLICES, *DEV_FOLDERS])
def test_100_generations(shared_data, name: str) -> None:
    x = dev_slice(shared_data, name)[:192, :192]  # enough of the largest
    first = CODEC.encode(x[None], within(0.05))
    assert first.frames[0].generation is Generation.FIRST_LOSS
    pixels = first.decoded
    for generation in range(100):
        payload = CODEC.encode(pixels, within((0.02, 0.1, 0.05)[generation % 3])).payload
        pixels = CODEC.decode(payload)
        assert payload == first.payload
    np.testing.assert_array_equal(pixels, first.decoded)


FINE = within(0.002)


def _without_fixed_point(size: int) -> np.ndarray:
    """Noise of few grey levels: no step of the grid is fine enough for 0.2 %."""
    return np.random.default_rng(7).integers(0, 40, (size, size)).astype(np.uint16)


def test_an_exact_frame_beside_lossy_ones_stays_exact_in_later_generations() -> None:
    noise = _without_fixed_point(64)
    assert CODEC.encode(noise[None], within(0.3)).frames[0].generation is Generation.FIRST_LOSS
    first = CODEC.encode(np.stack([phantom(64), noise]), FINE)
    assert [frame.generation for frame in first.frames] == [Generation.FIRST_LOSS, Generation.LOSSLESS]
    for target in OTHER_TARGETS:
        second = CODEC.encode(first.decoded, target)
        np.testing.assert_array_equal(second.decoded, first.decoded)
        assert second.payload == first.payload


def test_a_stack_whose_loss_would_not_show_is_kept_exactly() -> None:
    """A nearly constant frame decodes to a constant, which the next encoder cannot know for a lossy result."""
    nearly = np.full((64, 64), 1000, np.uint16)
    nearly[5, 5] = 1001
    alone = CODEC.encode(nearly[None], FINE)
    assert alone.frames[0].generation is Generation.FIRST_LOSS
    assert np.ptp(alone.decoded) == 0
    stack = np.stack([nearly, _without_fixed_point(64)])
    encoded = CODEC.encode(stack, FINE)
    np.testing.assert_array_equal(encoded.decoded, stack)


@pytest.mark.parametrize("other", [np.int16, np.uint16])
def test_sample_type_may_change_between_generations(other: type) -> None:
    first = CODEC.encode(phantom(80)[None], within(0.05)).decoded
    second = CODEC.encode(first.astype(other), within(0.2))
    assert second.frames[0].generation is Generation.STABLE
    np.testing.assert_array_equal(second.decoded, first)


@pytest.mark.parametrize("name", [*DEV_SLICES, *DEV_FOLDERS])
@pytest.mark.parametrize("error", [0.1, 0.02])
def test_fresh_slices_are_not_taken_for_fixed_points(shared_data, name: str, error: float) -> None:
    x = dev_slice(shared_data, name)
    assert detect(x, transform(x)) is None
    y = CODEC.encode(x[None], within(error)).decoded[0]
    found = detect(y, transform(y))
    assert found is not None
    np.testing.assert_array_equal(decode(found, ClipRange.of(y)), y)


def test_what_detection_would_miss_is_never_lossy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "MAX_TRIALS", 0)
    monkeypatch.setattr("mripacs.codec.kwavelet.frame.detect", lambda *_: None)
    encoded = CODEC.encode(phantom(40)[None], within(0.05))
    assert encoded.frames[0].generation is Generation.LOSSLESS
    np.testing.assert_array_equal(encoded.decoded[0], phantom(40))


@settings(max_examples=60)
@given(x=arrays(), step=st.integers(32, 1100))
def test_the_clip_range_of_decoded_pixels_gives_them_again(x: np.ndarray, step: int) -> None:
    quantised = quantise(transform(x), step)
    y = decode(quantised, ClipRange.of(x))
    np.testing.assert_array_equal(decode(quantised, ClipRange.of(y)), y)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 0, (0, 0)), (0, 1, (0, 1)), (0, 4096, (0, 8191)), (-1, 0, (-1, 0)), (-5, 3, (-8, 7)), (-3, 9, (-16, 15))],
)
def test_clip_range(low: int, high: int, expected: tuple[int, int]) -> None:
    clip = ClipRange.of(np.array([[low, high]], np.int16))
    assert (clip.low, clip.high) == expected


@settings(max_examples=30)
@given(x=arrays(), error=st.floats(0.01, 0.2))
def test_a_lossless_answer_means_no_error(x: np.ndarray, error: float) -> None:
    encoded = CODEC.encode(x[None], within(error))
    if encoded.frames[0].generation is not Generation.FIRST_LOSS:
        np.testing.assert_array_equal(encoded.decoded[0], x)
