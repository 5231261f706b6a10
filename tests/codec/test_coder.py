"""The entropy coder alone: any indices come back, streams end cleanly, tables are the right ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs.codec.kwavelet import context_coder, tables
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.mixing import COUNT_LIMIT
from mripacs.codec.kwavelet.range_coder import code, decoder, encoder, finish
from mripacs.codec.kwavelet.shapes import SLOTS, WEIGHT_SETS
from mripacs.codec.kwavelet.tables import Tables, shipped
from mripacs.core.errors import CodecError, PayloadError


@settings(max_examples=60)
@given(
    rows=st.integers(1, 50),
    columns=st.integers(1, 50),
    scale=st.sampled_from([0, 0.3, 2, 20, 3000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_indices_come_back(rows: int, columns: int, scale: float, seed: int) -> None:
    indices = np.round(np.random.default_rng(seed).laplace(0, scale, (rows, columns))).astype(np.int32)
    stream = context_coder.encode(Quantised(indices, 200, 0))
    np.testing.assert_array_equal(context_coder.decode(stream, rows, columns, 200).indices, indices)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 1)), max_size=300))
def test_range_coder(decisions: list[tuple[int, int]]) -> None:
    buffer, registers = encoder(4096)
    for probability, bit in decisions:
        code(buffer, registers, probability, bit)
    buffer, registers = decoder(finish(buffer, registers))
    assert [code(buffer, registers, probability, 0) for probability, _ in decisions] == [bit for _, bit in decisions]


def test_the_range_coder_comes_close_to_the_entropy() -> None:
    bits = (np.random.default_rng(4).random(20000) < 0.1).astype(int)
    buffer, registers = encoder(20000)
    for bit in bits:
        code(buffer, registers, 6554, int(bit))
    ideal = -(np.log2(0.1) * bits.sum() + np.log2(0.9) * (1 - bits).sum()) / 8
    assert len(finish(buffer, registers)) <= 1.001 * ideal + 2


def test_a_small_buffer_is_grown() -> None:
    """Incompressible indices take more than the two bytes each that the first buffer holds."""
    indices = np.random.default_rng(0).integers(-(2**20), 2**20, (64, 64)).astype(np.int32)
    stream = context_coder.encode(Quantised(indices, 32, 0))
    assert len(stream) > 2 * 64 * 64 + 1024
    np.testing.assert_array_equal(context_coder.decode(stream, 64, 64, 32).indices, indices)


def test_a_stream_that_ends_too_early_is_an_error() -> None:
    indices = np.random.default_rng(0).integers(-9, 9, (64, 64)).astype(np.int32)
    stream = context_coder.encode(Quantised(indices, 200, 0))
    for size in (0, 10, len(stream) // 2, len(stream) - 12):
        with pytest.raises(PayloadError, match=r"too early|16-bit"):
            context_coder.decode(stream[:size], 64, 64, 200)


def test_coefficients_beyond_16_bit_images_are_an_error() -> None:
    indices = np.zeros((16, 16), np.int32)
    indices[12, 12] = 1 << 12
    stream = context_coder.encode(Quantised(indices, 200, 0))
    assert context_coder.decode(stream, 16, 16, 200).indices[12, 12] == 1 << 12
    with pytest.raises(PayloadError, match="range of 16-bit"):
        context_coder.decode(stream, 16, 16, 1500)


def test_shipped_tables_have_their_shapes() -> None:
    assert shipped().slots.shape == (SLOTS,)
    assert shipped().weights.shape[0] == WEIGHT_SETS
    assert (shipped().slots >= 0).all()
    assert (shipped().slots & COUNT_LIMIT).max() <= COUNT_LIMIT
    assert shipped().squash.min() >= 1
    assert shipped().squash.max() <= 65535
    again = Tables.from_bytes(shipped().to_bytes())
    np.testing.assert_array_equal(again.slots, shipped().slots)


def test_other_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DIGEST", "0" * 64)
    with pytest.raises(CodecError, match="damaged"):
        tables.shipped.__wrapped__()
