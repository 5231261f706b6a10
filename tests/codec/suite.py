"""What every codec must do; a codec's tests subclass `CodecSuite` and name the codec and its target."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mripacs.codec.contract import Codec
from mripacs.core.errors import CodecInputError, CodecLimitError, PayloadError
from mripacs.core.model import Encoded, Generation, Target
from tests.codec.images import TYPES, arrays, extremes, phantom

# Each subclass runs the inherited properties by itself: that is what the suite is for.
INHERITED = [HealthCheck.differing_executors]


class CodecSuite:
    """Subclasses set `codec` and `target`, and `check_error` if the target is one of theirs."""

    codec: ClassVar[Codec]
    target: ClassVar[Target | None] = None

    def check_error(self, x: np.ndarray, encoded: Encoded) -> None:
        """Frames x against what they decode to; without loss unless a subclass knows better."""
        np.testing.assert_array_equal(encoded.decoded, x)

    def round_trip(self, frames: np.ndarray) -> Encoded:
        encoded = self.codec.encode(frames, self.target)
        decoded = self.codec.decode(encoded.payload)
        assert decoded.shape == frames.shape
        assert decoded.dtype == frames.dtype.newbyteorder("=")
        np.testing.assert_array_equal(decoded, encoded.decoded)
        assert len(encoded.frames) == len(frames)
        self.check_error(frames.astype(frames.dtype.newbyteorder("=")), encoded)
        return encoded

    @settings(max_examples=60, suppress_health_check=INHERITED)
    @given(arrays())
    def test_any_shape_and_type(self, x: np.ndarray) -> None:
        self.round_trip(x[None])

    @pytest.mark.parametrize("dtype", TYPES, ids=str)
    def test_extremes(self, dtype: np.dtype) -> None:
        for x in extremes(dtype).values():
            self.round_trip(x[None])

    def test_frames_decode_alone(self) -> None:
        frames = np.stack([phantom(40, seed) * (seed != 2) for seed in range(5)])
        payload = self.round_trip(frames).payload
        whole = self.codec.decode(payload)
        for index in (4, 0, 2):
            np.testing.assert_array_equal(self.codec.decode_frame(payload, index), whole[index])
        for index in (-1, 5):
            with pytest.raises(PayloadError, match="5 frames"):
                self.codec.decode_frame(payload, index)

    def test_a_frame_of_a_stack_is_coded_as_if_alone(self) -> None:
        frames = np.stack([phantom(40, seed) for seed in range(3)])
        together, alone = self.codec.encode(frames, self.target), self.codec.encode(frames[1:2], self.target)
        np.testing.assert_array_equal(together.decoded[1], alone.decoded[0])
        assert together.frames[1] == alone.frames[0]

    @pytest.mark.parametrize(
        "view",
        [
            lambda x: x[::2, ::-1],
            lambda x: x.T,
            lambda x: x.astype(x.dtype.newbyteorder(">")),
            np.asfortranarray,
        ],
        ids=["strided", "transposed", "big endian", "Fortran order"],
    )
    def test_memory_layout_does_not_matter(self, view) -> None:
        x = view(phantom(50))[None]
        plain = np.ascontiguousarray(x).astype(np.uint16)
        assert self.round_trip(x).payload == self.codec.encode(plain, self.target).payload

    def test_read_only_input_stays_as_it_is(self) -> None:
        x = phantom(40)[None].copy()
        kept = x.copy()
        x.setflags(write=False)
        self.round_trip(x)
        np.testing.assert_array_equal(x, kept)

    @pytest.mark.parametrize(
        "frames",
        [
            np.zeros((1, 8, 8), np.float32),
            np.zeros((1, 8, 8), np.int32),
            np.zeros((1, 8, 8), bool),
            np.zeros((8, 8), np.uint16),
            np.zeros((0, 8, 8), np.uint16),
            np.zeros((1, 0, 8), np.uint16),
            np.zeros((1, 8, 8, 3), np.uint16),
            np.zeros((1, 8, 8, 2), np.uint8),
            np.zeros((1, 1, 2, 8, 8), np.uint8),
            [[[1, 2], [3, 4]]],
        ],
        ids=lambda frames: f"{getattr(frames, 'dtype', 'list')}{np.shape(frames)}",
    )
    def test_other_arrays_are_refused(self, frames: np.ndarray) -> None:
        with pytest.raises(CodecInputError):
            self.codec.encode(frames, self.target)

    def test_limit_on_samples(self) -> None:
        payload = self.codec.encode(np.zeros((3, 10, 20), np.uint16), self.target).payload
        assert self.codec.decode(payload, max_samples=600).shape == (3, 10, 20)
        for read in (self.codec.decode, lambda *a, **k: self.codec.decode_frame(a[0], 0, **k)):
            with pytest.raises(CodecLimitError, match="599"):
                read(payload, max_samples=599)

    def test_constant_frames_take_16_bytes(self) -> None:
        for dtype in TYPES:
            for value in (np.iinfo(dtype).min, 0, np.iinfo(dtype).max):
                encoded = self.round_trip(np.full((1, 512, 384), value, dtype))
                assert len(encoded.payload) <= 16
                assert encoded.frames[0].generation is Generation.LOSSLESS
                assert encoded.frames[0].rel_error == 0
                assert encoded.frames[0].psnr_db is None

    @settings(max_examples=25, suppress_health_check=INHERITED)
    @given(x=arrays(24), data=st.data())
    def test_every_flipped_bit_is_an_error(self, x: np.ndarray, data: st.DataObject) -> None:
        payload = self.codec.encode(x[None], self.target).payload
        for _ in range(8):
            damaged = bytearray(payload)
            bit = data.draw(st.integers(0, 8 * len(payload) - 1))
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(PayloadError):
                self.codec.decode(bytes(damaged))

    def test_every_truncation_is_an_error(self) -> None:
        payload = self.codec.encode(phantom(40)[None], self.target).payload
        for size in range(len(payload)):
            with pytest.raises(PayloadError):
                self.codec.decode(payload[:size])
        with pytest.raises(PayloadError):
            self.codec.decode(payload + b"\0")
