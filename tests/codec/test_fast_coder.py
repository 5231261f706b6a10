"""The entropy coder of mode 1 alone: any indices come back, streams end cleanly, tables are the right ones."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs.codec.kwavelet import context_coder, fast_coder, fast_side, fast_tables
from mripacs.codec.kwavelet.fast_range import code, decoder, encoder, finish
from mripacs.codec.kwavelet.fast_shapes import CLASSES, LEAN_INPUTS, SIZE_INPUTS, SLOTS
from mripacs.codec.kwavelet.fast_tables import FastTables, shipped
from mripacs.codec.kwavelet.kernel import Quantised, quantise, transform
from mripacs.core.errors import CodecError, PayloadError
from tests.codec.images import phantom


@settings(max_examples=80)
@given(
    rows=st.integers(1, 50),
    columns=st.integers(1, 50),
    scale=st.sampled_from([0, 0.02, 0.3, 2, 20, 3000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_indices_come_back(rows: int, columns: int, scale: float, seed: int) -> None:
    indices = np.round(np.random.default_rng(seed).laplace(0, scale, (rows, columns))).astype(np.int32)
    stream = fast_coder.encode(Quantised(indices, 200, 0))
    found = fast_coder.decode(stream, rows, columns, 200)
    np.testing.assert_array_equal(found.indices, indices)
    assert found.nonzero == np.count_nonzero(indices)


def test_encoding_leaves_the_indices_alone() -> None:
    quantised = quantise(transform(phantom(64)), 300)
    kept = quantised.indices.copy()
    quantised.indices.setflags(write=False)
    fast_coder.encode(quantised)
    np.testing.assert_array_equal(quantised.indices, kept)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(2, 65534), st.integers(0, 1)), max_size=300))
def test_range_coder(decisions: list[tuple[int, int]]) -> None:
    words, registers = encoder(4096)
    for probability, bit in decisions:
        code(words, registers, False, probability, bit)
    stream = finish(words, registers)
    assert stream is not None
    words, registers = decoder(stream)
    for probability, bit in decisions:
        assert code(words, registers, True, probability, 0) == bit


def test_the_range_coder_comes_close_to_the_entropy() -> None:
    bits = (np.random.default_rng(4).random(20000) < 0.1).astype(int).tolist()
    words, registers = encoder(20000)
    for bit in bits:
        code(words, registers, False, 6554, bit)
    ideal = -(np.log2(0.1) * sum(bits) + np.log2(0.9) * (len(bits) - sum(bits))) / 8
    assert len(finish(words, registers) or b"") <= 1.001 * ideal + 2


def test_carries_run_through_full_words() -> None:
    """A long run of the likelier half ends in a carry over words of ones."""
    words, registers = encoder(64)
    bits = [0] * 300 + [1] * 9 + [0] * 40
    for bit in bits:
        code(words, registers, False, 3, bit)
    words, registers = decoder(finish(words, registers) or b"")
    for bit in bits:
        assert code(words, registers, True, 3, 0) == bit


def test_a_small_buffer_is_grown() -> None:
    """Incompressible indices take more words than the first buffer holds."""
    indices = np.random.default_rng(0).integers(-(2**20), 2**20, (64, 64)).astype(np.int32)
    stream = fast_coder.encode(Quantised(indices, 32, 0))
    assert len(stream) > 2 * (64 * 64 // 2 + 1024)
    np.testing.assert_array_equal(fast_coder.decode(stream, 64, 64, 32).indices, indices)


def test_a_stream_that_ends_too_early_is_an_error() -> None:
    indices = np.random.default_rng(0).integers(-9, 9, (64, 64)).astype(np.int32)
    stream = fast_coder.encode(Quantised(indices, 200, 0))
    for size in (0, 10, len(stream) // 2, len(stream) - 20):
        with pytest.raises(PayloadError, match=r"too early|16-bit"):
            fast_coder.decode(stream[:size], 64, 64, 200)


def test_coefficients_beyond_16_bit_images_are_an_error() -> None:
    indices = np.zeros((16, 16), np.int32)
    indices[12, 12] = 1 << 12
    stream = fast_coder.encode(Quantised(indices, 200, 0))
    assert fast_coder.decode(stream, 16, 16, 200).indices[12, 12] == 1 << 12
    with pytest.raises(PayloadError, match="range of 16-bit"):
        fast_coder.decode(stream, 16, 16, 1500)


@settings(max_examples=150, deadline=None)
@given(stream=st.binary(max_size=200), rows=st.integers(1, 70), columns=st.integers(1, 70), step=st.integers(0, 1535))
def test_any_bytes_end_in_indices_or_an_error(stream: bytes, rows: int, columns: int, step: int) -> None:
    start = time.perf_counter()
    with contextlib.suppress(PayloadError):
        assert fast_coder.decode(stream, rows, columns, step).indices.shape == (rows, columns)
    assert time.perf_counter() - start < 5


def test_a_stream_that_claims_too_much_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(PayloadError, match="cannot hold"):
        fast_coder.decode(b"\x01", 1 << 14, 1 << 14, 400)


def test_about_as_small_as_version_1() -> None:
    quantised = quantise(transform(phantom(200)), 260)
    assert len(fast_coder.encode(quantised)) < 1.06 * len(context_coder.encode(quantised))


def test_logarithms() -> None:
    for value in (0, 1, 3, 100, 12345):
        assert fast_side.logarithm(np.float32(value)) == pytest.approx(64 * np.log2(1 + 2 * value), abs=64 * 0.087 + 1)
    assert fast_side.logarithm(np.float32(0)) == 0


def test_shipped_tables_have_their_shapes() -> None:
    assert shipped().slots.shape == (SLOTS,)
    assert shipped().forms.size.shape == (CLASSES, SIZE_INPUTS)
    assert shipped().forms.lean.shape == (CLASSES, LEAN_INPUTS)
    again = FastTables.from_bytes(shipped().to_bytes())
    np.testing.assert_array_equal(again.slots, shipped().slots)
    np.testing.assert_array_equal(again.forms.size, shipped().forms.size)


def test_sums_of_the_shipped_forms_stay_exact() -> None:
    """float32 holds whole numbers up to 2^24: the largest inputs times the weights must not leave that."""
    largest_log = fast_side.logarithm(np.float32(1023 * 14))
    size, lean = np.abs(shipped().forms.size), np.abs(shipped().forms.lean)
    patch = float(fast_side.LARGEST_GAP)
    assert (size[:, :25].sum(1) * patch + size[:, 25:36].sum(1) * largest_log + size[:, 36]).max() < 1 << 24
    assert (lean[:, :25].sum(1) * patch + lean[:, 25:].sum(1) * 3).max() < 1 << 24


def test_other_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_tables, "DIGEST", "0" * 64)
    with pytest.raises(CodecError, match="damaged"):
        fast_tables.shipped.__wrapped__()
