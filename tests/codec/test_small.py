"""The `small` coder: indices come back, sums are exact, hostile streams end in typed errors, tables are as pinned."""

from __future__ import annotations

import dataclasses
import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs import codec
from mripacs.codec import tables_registry
from mripacs.codec.frames import FrameKind, split_head
from mripacs.codec.kwavelet import small_coder, small_named_coder, small_net, small_tables
from mripacs.codec.kwavelet.kernel import ClipRange, Quantised, decode, quantise, transform
from mripacs.codec.kwavelet.small_choice import choose
from mripacs.codec.kwavelet.small_shapes import HIDDEN, PADDED_OUTPUTS, SECOND
from mripacs.codec.kwavelet.small_tables import SmallTables, shipped, untrained
from mripacs.codec.payload import unpack
from mripacs.codec.registry import find
from mripacs.codec.repack import repack
from mripacs.core.errors import CodecError, PayloadError, UnknownTablesError
from mripacs.core.model import Effort, Target, TargetKind
from tests.codec.images import DEV_FOLDERS, DEV_SLICES, arrays, dev_slice, phantom


def laplace(rows: int, columns: int, scale: float, seed: int) -> np.ndarray:
    return np.round(np.random.default_rng(seed).laplace(0, scale, (rows, columns))).astype(np.int32)


@settings(max_examples=60)
@given(
    rows=st.integers(1, 50),
    columns=st.integers(1, 50),
    scale=st.sampled_from([0, 0.3, 2, 20, 3000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_indices_come_back(rows: int, columns: int, scale: float, seed: int) -> None:
    indices = laplace(rows, columns, scale, seed)
    stream = small_coder.encode(Quantised(indices, 200, 0))
    np.testing.assert_array_equal(small_coder.decode(stream, rows, columns, 200).indices, indices)


@pytest.mark.parametrize("size", [(600, 40), (40, 600), (7, 5000)])
def test_bands_are_coded_in_parts(size: tuple[int, int]) -> None:
    """Long and wide bands are handed to the inner loop in several runs of rows."""
    indices = laplace(*size, 0.8, 3)
    stream = small_coder.encode(Quantised(indices, 200, 0))
    np.testing.assert_array_equal(small_coder.decode(stream, *size, 200).indices, indices)


@settings(max_examples=40)
@given(arrays(), st.sampled_from([0.01, 0.05, 0.2]))
def test_targets_and_generations(image: np.ndarray, target: float) -> None:
    """Never missed, and what comes out is stable, whatever effort looks at it next."""
    once = find("kwavelet").encode(image[None], Target(TargetKind.REL_ERROR, target), effort=Effort.SMALL)
    gap = image.astype(np.int64) - once.decoded[0]
    assert np.sqrt(np.sum(gap**2)) <= target * np.sqrt(np.sum(image.astype(np.float64) ** 2)) * (1 + 1e-12)
    for effort in Effort:
        again = find("kwavelet").encode(once.decoded, Target(TargetKind.REL_ERROR, 0.3), effort=effort)
        if once.frames[0].step is not None:
            np.testing.assert_array_equal(again.decoded, once.decoded)


@pytest.mark.parametrize("name", [*DEV_SLICES, *DEV_FOLDERS])
def test_real_slices_take_fewer_bytes(shared_data, name: str) -> None:
    x = dev_slice(shared_data, name)
    small, first = codec.encode(x, 0.05, effort="small"), repack(codec.encode(x, 0.05))
    assert len(small) <= 1.01 * len(first)  # choices for the coder pay, or hardly cost
    np.testing.assert_array_equal(codec.decode(first), codec.decode(codec.encode(x, 0.05)))
    y = codec.decode(small)
    np.testing.assert_array_equal(codec.decode(codec.encode(y, 0.02)), y)


def test_choices_cost_error_and_save_bytes() -> None:
    """At one step: fewer bytes, more error, and still a quantisation that decodes into its own cells."""
    x = phantom(128)
    coefficients = transform(x)
    plain, chosen = quantise(coefficients, 300), choose(coefficients, 300, shipped())
    assert len(small_coder.encode(chosen)) < 0.95 * len(small_coder.encode(plain))
    clip = ClipRange.of(x)
    errors = [float(np.sum((decode(each, clip) - x) ** 2.0)) for each in (plain, chosen)]
    assert errors[0] < errors[1] < 1.5 * errors[0]
    again = quantise(transform(decode(chosen, clip)), 300)
    assert np.mean(again.indices != chosen.indices) < 0.001


def test_streams_that_end_too_early_are_errors() -> None:
    stream = small_coder.encode(Quantised(laplace(64, 64, 3, 0), 200, 0))
    with pytest.raises(PayloadError):
        small_coder.decode(stream[: len(stream) // 2], 64, 64, 200)
    with pytest.raises(PayloadError, match="cannot hold"):
        small_coder.decode(b"ab", 4096, 4096, 200)


def test_hostile_streams_end_in_an_error_or_an_image() -> None:
    """Random bytes and flipped bits under a step of either end of the grid, in bounded time."""
    generator = np.random.default_rng(11)
    good = small_coder.encode(Quantised(laplace(48, 56, 2, 1), 300, 0))
    outcomes = {"error": 0, "image": 0}
    start = time.process_time()
    for trial in range(300):
        if trial % 3:
            stream = bytearray(good)
            for place in generator.integers(0, len(stream), 1 + trial % 5):
                stream[place] ^= 1 << int(generator.integers(8))
        else:
            stream = bytearray(generator.integers(0, 256, 1 + trial * 4, np.uint8).tobytes())
        try:
            found = small_coder.decode(bytes(stream), 48, 56, int(generator.choice([32, 300, 1535])))
            assert found.indices.shape == (48, 56)
            outcomes["image"] += 1
        except PayloadError:
            outcomes["error"] += 1
    assert min(outcomes.values()) > 10, outcomes
    assert time.process_time() - start < 60


def test_sums_are_exact_whatever_their_order() -> None:
    """The largest sums that `ready` lets pass: float32 in any order gives what integers give."""
    generator = np.random.default_rng(2)
    inputs = generator.integers(-127, 128, (500, 76)).astype(np.float32)
    weights = np.clip(generator.integers(-3000, 3001, (76, HIDDEN)), -1700, 1700).astype(np.float32)
    exact = inputs.astype(np.int64) @ weights.astype(np.int64)
    order = generator.permutation(76)
    np.testing.assert_array_equal((inputs @ weights).astype(np.int64), exact)
    np.testing.assert_array_equal((inputs[:, order] @ weights[order]).astype(np.int64), exact)


def test_the_net_gives_what_integers_give() -> None:
    net = shipped().nets[2]
    generator = np.random.default_rng(3)
    for _ in range(50):
        first = generator.integers(-60000, 60000, HIDDEN)
        sums, second, logits = (
            first.astype(np.float32),
            np.zeros(SECOND, np.float32),
            np.zeros(PADDED_OUTPUTS, np.float32),
        )
        small_net.run(net, sums, second, logits)
        hidden = np.clip(first >> small_net.FIRST_SHIFT, 0, 255)
        middle = np.clip(
            (hidden @ net.second.astype(np.int64) + net.second_bias.astype(np.int64)) >> small_net.SECOND_SHIFT, 0, 255
        )
        np.testing.assert_array_equal(logits, middle @ net.last.astype(np.int64) + net.last_bias.astype(np.int64))


def test_weights_whose_sums_may_be_inexact_are_refused() -> None:
    tables = untrained()
    heavy = tables.weights[0]._replace(second=np.full((HIDDEN, SECOND), 1100, np.int16))
    with pytest.raises(CodecError, match="too large"):
        _ = dataclasses.replace(tables, weights=(heavy, *tables.weights[1:])).nets


def test_the_shipped_file_is_the_one_that_was_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    for edition, (name, _) in list(small_tables.EDITIONS.items()):
        tables = shipped(edition)
        assert tables.to_bytes() == SmallTables.from_bytes(tables.to_bytes()).to_bytes()
        monkeypatch.setitem(small_tables.EDITIONS, edition, (name, "0" * 64))
        with pytest.raises(CodecError, match="damaged"):
            shipped.__wrapped__(edition)


@pytest.mark.parametrize("damage", ["no file", "cut", "other shape", "missing"])
def test_files_that_are_no_tables_are_refused(damage: str) -> None:
    content = untrained().to_bytes()
    with np.load(io.BytesIO(content)) as file:
        arrays_ = {name: file[name] for name in file.files}
    if damage == "other shape":
        arrays_["slots"] = arrays_["slots"][1:]
    if damage == "missing":
        del arrays_["near_1"]
    written = io.BytesIO()
    np.savez(written, **arrays_)
    broken = {"no file": b"tables", "cut": content[:-40]}.get(damage, written.getvalue())
    with pytest.raises(CodecError, match="table file"):
        SmallTables.from_bytes(broken)


class TestRepack:
    """Other bytes, the same pixels."""

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
    def test_the_pixels_stay(self, dtype: type) -> None:
        x = (phantom(128) // 5).astype(dtype)
        payload = codec.encode(x, 0.03)
        again = repack(payload)
        np.testing.assert_array_equal(codec.decode(again), codec.decode(payload))
        assert codec.decode(again).dtype == dtype
        assert len(again) < 0.98 * len(payload)
        assert repack(again) == again

    def test_only_wavelet_frames_of_a_stack_change(self) -> None:
        x = phantom(64)
        noise = np.random.default_rng(1).integers(0, 65536, x.shape, np.uint16)
        payload = codec.encode(np.stack([x, np.full_like(x, 7), noise, x // 3]), max_error=1)
        again = repack(payload)
        np.testing.assert_array_equal(codec.decode(again), codec.decode(payload))
        for old, new in zip(unpack(payload).frames, unpack(again).frames, strict=True):
            assert len(new) <= len(old)
            assert old == new or split_head(old)[0] is FrameKind.KWAVELET

    def test_lossless_payloads_stay(self) -> None:
        payload = codec.encode_lossless(phantom(64))
        assert repack(payload) == payload

    def test_damaged_payloads_are_errors(self) -> None:
        payload = bytearray(codec.encode(phantom(64), 0.05))
        payload[20] ^= 1
        with pytest.raises(PayloadError):
            repack(bytes(payload))

    def test_with_other_tables(self) -> None:
        """Their name is in the payload: known, it decodes; unknown, the error says which tables are missing."""
        payload = codec.encode(phantom(128), 0.05)
        content = dataclasses.replace(shipped(), rate=5).to_bytes()
        name = tables_registry.name_of(content)
        held = {name: content}
        tables_registry.add_source(held.get)
        try:
            again = repack(payload, tables=name)
        finally:
            tables_registry.remove_source(held.get)
        assert name in again
        np.testing.assert_array_equal(codec.decode(again), codec.decode(payload))
        assert repack(again, tables=name) == again
        assert len(repack(again)) <= len(again)
        tables_registry._known.pop(name)
        small_named_coder._tables.cache_clear()
        with pytest.raises(UnknownTablesError, match=name.hex()):
            codec.decode(again)

    def test_names_are_the_start_of_a_digest(self) -> None:
        with pytest.raises(UnknownTablesError, match="hexadecimal"):
            tables_registry.parse_name("xyz")
        assert tables_registry.parse_name("ab" * 32) == b"\xab" * 8
