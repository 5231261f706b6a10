"""The lossless codec: the suite, colour, sizes, and what happens when the library fails."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from mripacs.codec import exact, frames
from mripacs.codec.lossless import LosslessCodec
from mripacs.codec.payload import unpack
from mripacs.core.errors import CodecInputError
from mripacs.core.model import Target, TargetKind
from tests.codec.images import DEV_FOLDERS, dev_slice, phantom
from tests.codec.suite import CodecSuite


class TestLossless(CodecSuite):
    codec = LosslessCodec()


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 30, 41, 3)], ids=str)
def test_colour(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    payload = LosslessCodec().encode(x).payload
    np.testing.assert_array_equal(LosslessCodec().decode(payload), x)
    np.testing.assert_array_equal(LosslessCodec().decode_frame(payload, shape[0] - 1), x[-1])


def test_colour_of_one_value() -> None:
    x = np.full((1, 20, 20, 3), 7, np.uint8)
    np.testing.assert_array_equal(LosslessCodec().decode(LosslessCodec().encode(x).payload), x)


@pytest.mark.parametrize("name", DEV_FOLDERS)
def test_no_larger_than_jpeg_ls(shared_data, name: str) -> None:
    x = dev_slice(shared_data, name)
    jpeg_ls = imagecodecs.jpegls_encode((x.astype(np.int32) - min(0, int(x.min()))).astype(np.uint16))
    assert len(LosslessCodec().encode(x[None]).payload) <= 1.02 * len(jpeg_ls)


@pytest.mark.parametrize("fault", ["refuses", "changes a pixel"])
def test_a_failing_library_means_raw(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    library = imagecodecs.jpegxl_encode

    def failing(samples: np.ndarray, **options: object) -> bytes:
        if fault == "refuses":
            raise imagecodecs.JpegxlError("JxlEncoderAddImageFrame", 1)
        changed = samples.copy()
        changed.flat[3] ^= 1
        return bytes(library(changed, **options))

    monkeypatch.setattr(exact.imagecodecs, "jpegxl_encode", failing)
    x = phantom(40)[None]
    encoded = LosslessCodec().encode(x)
    np.testing.assert_array_equal(LosslessCodec().decode(encoded.payload), x)
    kind, _, _ = frames.split_head(encoded.payload[4:])
    assert kind is frames.FrameKind.RAW


@pytest.mark.parametrize(("tile", "kind"), [(16, frames.FrameKind.RAW), (256, frames.FrameKind.JPEG_XL)])
def test_the_smaller_form_is_kept(tile: int, kind: frames.FrameKind) -> None:
    pattern = np.random.default_rng(5).integers(0, 4000, (tile, tile), np.uint16)
    x = np.tile(pattern, (256 // tile, 256 // tile))[None]
    assert x.nbytes > exact.ALWAYS_BOTH_BYTES
    payload = LosslessCodec().encode(x).payload
    assert frames.split_head(unpack(payload).frames[0])[0] is kind
    np.testing.assert_array_equal(LosslessCodec().decode(payload), x)


def test_a_target_is_refused() -> None:
    with pytest.raises(CodecInputError, match="takes no target"):
        LosslessCodec().encode(phantom(8)[None], Target(TargetKind.REL_ERROR, 0.05))
