"""Malformed payloads: each field wrong in turn, and hostile contents under a correct checksum."""

from __future__ import annotations

import itertools
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs.codec.contract import DEFAULT_MAX_SAMPLES
from mripacs.codec.decoding import decode_all
from mripacs.codec.exact import encode_exact
from mripacs.codec.frames import read_zigzag, zigzag
from mripacs.codec.kwavelet.codec import KWaveletCodec
from mripacs.codec.lossless import LosslessCodec
from mripacs.codec.payload import Reader, Shape, varint
from mripacs.core.errors import CodecLimitError, PayloadError
from mripacs.core.model import Target, TargetKind
from tests.codec.images import phantom

TARGET = Target(TargetKind.REL_ERROR, 0.05)


def signed(body: bytes) -> bytes:
    """A body with its correct checksum."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def kwavelet_frame(clip: int, step: int, coded: bytes) -> bytes:
    return bytes([1 << 5 | clip]) + step.to_bytes(2, "little") + coded


SQUARE_U16 = bytes([0xB5, 0x11, 1 | 4])  # magic, version 1 kwavelet, uint16 square
GOOD = SQUARE_U16 + varint(8)

# fmt: off
MALFORMED = {
    "empty": (b"", "CRC"),
    "only a checksum": (b"\0\0\0\0", "CRC"),
    "magic": (signed(b"\xb4" + GOOD[1:] + b"\0\0"), "magic"),
    "version 2": (signed(bytes([0xB5, 0x21, 5, 8, 0, 0])), "version 2"),
    "version 0": (signed(bytes([0xB5, 0x01, 5, 8, 0, 0])), "version 0"),
    "sample type 3": (signed(bytes([0xB5, 0x11, 7, 8, 0, 0])), "flags"),
    "unknown flag": (signed(bytes([0xB5, 0x11, 0x25, 8, 0, 0])), "flags"),
    "nothing after the magic": (signed(b"\xb5"), "left"),
    "no rows": (signed(SQUARE_U16), "left"),
    "zero rows": (signed(SQUARE_U16 + b"\0\0\0"), "0 x 0"),
    "endless rows": (signed(SQUARE_U16 + b"\xff" * 9), "longer than"),
    "no frame": (signed(GOOD), "left"),
    "frame kind 7": (signed(GOOD + b"\xe0\0"), "kind 7"),
    "constant with details": (signed(GOOD + b"\x01\0"), "details"),
    "constant too large": (signed(GOOD + b"\0" + zigzag(65536)), "does not fit"),
    "constant negative": (signed(GOOD + b"\0" + zigzag(-1)), "does not fit"),
    "constant with a tail": (signed(GOOD + b"\0\0\0"), "follow"),
    "stack of no frames": (signed(bytes([0xB5, 0x11, 13, 8, 0])), "frames"),
    "stack without table": (signed(bytes([0xB5, 0x11, 13, 8, 2])), "fit"),
    "table too long": (signed(bytes([0xB5, 0x11, 13, 8, 2, 2, 3, 0, 0, 0, 0])), "frames take"),
    "table too short": (signed(bytes([0xB5, 0x11, 13, 8, 2, 1, 2, 0, 0, 0, 0])), "frames take"),
    "a frame of no bytes": (signed(bytes([0xB5, 0x11, 13, 8, 2, 0, 2, 0, 0])), "left"),
    "pixels beyond uint8": (signed(bytes([0xB5, 0x11, 4, 8]) + kwavelet_frame(8, 300, b"\x12")), "do not fit"),
    "signed pixels in uint16": (signed(GOOD + kwavelet_frame(20, 300, b"\x12")), "do not fit"),
    "step off the grid": (signed(GOOD + kwavelet_frame(9, 1536, b"\x12")), "step 1536"),
    "coding mode 31": (signed(GOOD + kwavelet_frame(9, 31 * 2048 + 300, b"\x12")), "mode 31"),
    "step cut off": (signed(GOOD + b"\x29\x01"), "left"),
    "kwavelet in colour": (signed(bytes([0xB5, 0x11, 20, 8]) + kwavelet_frame(7, 300, b"\x12")), "one sample"),
    "no JPEG XL": (signed(GOOD + b"\x40\0" + b"no codestream"), "JPEG XL"),
    "JPEG XL offset": (signed(GOOD + b"\x40" + zigzag(5) + b"x"), "offset"),
    "no zlib": (signed(GOOD + b"\x60no zlib stream"), "inflated"),
    "raw too short": (signed(GOOD + b"\x60" + zlib.compress(bytes(127))), "inflates to"),
    "raw too long": (signed(GOOD + b"\x60" + zlib.compress(bytes(129))), "inflates to"),
    "raw bomb": (signed(GOOD + b"\x60" + zlib.compress(bytes(10_000_000))), "inflates to"),
}
# fmt: on


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    payload, message = MALFORMED[name]
    with pytest.raises(PayloadError, match=message):
        decode_all(payload, DEFAULT_MAX_SAMPLES)


@pytest.mark.parametrize(("rows", "columns", "frames"), [(1 << 30, 1 << 30, 1), (1 << 14, 1 << 15, 1), (4, 4, 1 << 30)])
def test_claims_beyond_the_limit_allocate_nothing(rows: int, columns: int, frames: int) -> None:
    body = bytes([0xB5, 0x11, 1 | 8]) + varint(rows) + varint(columns) + varint(frames) + bytes(50)
    with pytest.raises(CodecLimitError, match="allowed"):
        decode_all(signed(body), DEFAULT_MAX_SAMPLES)


def test_claims_that_the_bytes_cannot_hold_are_refused_at_once() -> None:
    body = SQUARE_U16 + varint(1 << 14) + kwavelet_frame(9, 300, b"\x12" * 20)
    start = time.perf_counter()
    with pytest.raises(PayloadError, match="cannot hold"):
        decode_all(signed(body), DEFAULT_MAX_SAMPLES)
    assert time.perf_counter() - start < 1


def test_a_jpeg_xl_codestream_of_another_size_is_refused() -> None:
    frame = encode_exact(phantom(40), Shape(40, 40, np.dtype(np.uint16)))
    with pytest.raises(PayloadError, match="JPEG XL"):
        decode_all(signed(GOOD + frame), DEFAULT_MAX_SAMPLES)


@settings(max_examples=150)
@given(
    coded=st.binary(max_size=60),
    step=st.one_of(st.integers(0, 1535), st.sampled_from([0, 1535])),
    rows=st.integers(1, 60),
    columns=st.integers(1, 60),
    clip=st.integers(0, 31),
)
def test_hostile_bands_end_in_an_error_or_an_image(coded: bytes, step: int, rows: int, columns: int, clip: int) -> None:
    body = bytes([0xB5, 0x11, 2 if clip >= 16 else 1 if clip >= 8 else 0])
    body += varint(rows) + varint(columns)
    if rows == columns:
        body = bytes([0xB5, 0x11, body[2] | 4]) + varint(rows)
    assert_error_or_image(signed(body + kwavelet_frame(clip, step, coded)), (1, rows, columns))


@settings(max_examples=150)
@given(data=st.data())
def test_mutations_under_a_correct_checksum(data: st.DataObject) -> None:
    codec, arguments = data.draw(st.sampled_from([(KWaveletCodec(), (TARGET,)), (LosslessCodec(), ())]))
    body = bytearray(codec.encode(phantom(24)[None, :20], *arguments).payload[:-4])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(5, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert_error_or_image(signed(bytes(body)), (1, 20, 24))


def assert_error_or_image(payload: bytes, shape: tuple[int, ...]) -> None:
    try:
        decoded = decode_all(payload, 1 << 14)
    except PayloadError:
        return
    assert decoded.shape == shape


def test_no_byte_string_crashes() -> None:
    generator = np.random.default_rng(3)
    for size, _ in itertools.product(range(40), range(20)):
        with pytest.raises(PayloadError):
            decode_all(signed(generator.bytes(size)), 1 << 14)


@given(st.integers(-(2**33), 2**33))
def test_zigzag(value: int) -> None:
    assert read_zigzag(Reader(zigzag(value))) == value


def test_zlib_stream_with_a_tail_is_refused() -> None:
    frame = b"\x60" + zlib.compress(bytes(128)) + b"tail"
    with pytest.raises(PayloadError, match="inflates"):
        decode_all(signed(GOOD + frame), DEFAULT_MAX_SAMPLES)
