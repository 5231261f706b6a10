"""Frames without error: JPEG XL by imagecodecs, or raw samples through zlib where it fails or gains nothing."""

from __future__ import annotations

import zlib
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mripacs.codec.frames import FrameKind, encode_constant, head, read_zigzag, zigzag
from mripacs.codec.payload import Reader, Shape
from mripacs.core.errors import PayloadError

# JPEG XL on dev, bits a pixel and MPx/s of one thread: e1 6.89/364, e2 6.25/36, e3 6.19/20, e4 5.99/6.7, e5 5.88/2.8,
# e7 5.89/1.6; JPEG-LS 6.38/43. Effort 4 is 4 % smaller than 2 and still codes 100 slices of 256 x 256 a second.
JPEG_XL_EFFORT = 4
ZLIB_LEVEL = 6  # 4 ms for a frame of 130 KB, as long as decoding JPEG XL
# Of 500 slices of train, the smallest raw one had 1.21 times JPEG XL's bytes, and half of them more than 1.68.
CLEARLY_LARGER = 1.5  # times JPEG XL's bytes, at zlib's fastest level, which takes up to 1.29 times level 6's
ALWAYS_BOTH_BYTES = 16384
_JPEG_XL_FAILURES = (imagecodecs.JpegxlError, ValueError, RuntimeError, MemoryError)


def encode_exact(frame: NDArray[Any], shape: Shape) -> bytes:
    """A constant frame, else JPEG XL (proved by decoding it), or raw samples where they are smaller.

    Those of a large frame are tried only when its middle quarter says that they may be.
    """
    if shape.samples_per_pixel == 1 and (frame == frame.flat[0]).all():
        return encode_constant(frame)
    coded = _encode_jpeg_xl(frame, shape)
    if coded is not None and not _raw_may_be_smaller(frame, coded):
        return coded
    raw = _encode_raw(frame)
    return raw if coded is None or len(raw) <= len(coded) else coded


def _encode_jpeg_xl(frame: NDArray[Any], shape: Shape) -> bytes | None:
    """The frame, or None if the library refuses it or does not give it back."""
    offset = min(0, int(frame.min()))
    samples = (frame.astype(np.int32) - offset).astype(_unsigned(shape))
    try:
        stream = imagecodecs.jpegxl_encode(samples, lossless=True, effort=JPEG_XL_EFFORT, numthreads=1)
        coded = head(FrameKind.JPEG_XL) + zigzag(offset) + stream
        proved = np.array_equal(decode_jpeg_xl(_after_head(coded), shape), frame)
    except (PayloadError, *_JPEG_XL_FAILURES):
        return None
    return coded if proved else None


def decode_jpeg_xl(reader: Reader, shape: Shape) -> NDArray[Any]:
    """The frame. Raises PayloadError if the codestream is damaged or of another size or sample type."""
    offset = read_zigzag(reader)
    limits = np.iinfo(shape.dtype)
    if not limits.min <= offset <= 0:
        raise PayloadError(f"JPEG XL offset {offset} does not fit {shape.dtype}")
    samples = np.empty(shape.frame_shape, _unsigned(shape))  # of a known size: the library allocates no other
    try:
        imagecodecs.jpegxl_decode(reader.take(reader.left), out=samples, numthreads=1)
    except _JPEG_XL_FAILURES as error:
        raise PayloadError(f"JPEG XL codestream cannot be decoded: {error}") from error
    if offset == 0 and shape.dtype == samples.dtype:
        return samples
    values = samples.astype(np.int32) + offset
    if int(values.max()) > limits.max:
        raise PayloadError(f"JPEG XL samples do not fit {shape.dtype}")
    return values.astype(shape.dtype)


def _raw_may_be_smaller(frame: NDArray[Any], coded: bytes) -> bool:
    """A guess from the middle quarter's rows, in a twentieth of the time."""
    if frame.nbytes <= ALWAYS_BOTH_BYTES:
        return True
    rows = frame.shape[0]
    middle = zlib.compress(frame[rows * 3 // 8 : rows * 5 // 8].tobytes(), 1)
    return 4 * len(middle) <= CLEARLY_LARGER * len(coded)


def _encode_raw(frame: NDArray[Any]) -> bytes:
    samples = frame.astype(frame.dtype.newbyteorder("<"), copy=False)
    return head(FrameKind.RAW) + zlib.compress(samples.tobytes(), ZLIB_LEVEL)


def decode_raw(reader: Reader, shape: Shape) -> NDArray[Any]:
    """The frame. Raises PayloadError if zlib fails or the size is wrong; never inflates more than the frame."""
    size = shape.samples * shape.dtype.itemsize
    inflate = zlib.decompressobj()
    try:
        samples = inflate.decompress(reader.take(reader.left), size + 1)
    except zlib.error as error:
        raise PayloadError(f"raw frame cannot be inflated: {error}") from error
    if len(samples) != size or not inflate.eof or inflate.unused_data:
        raise PayloadError(f"raw frame inflates to {len(samples)} bytes or more, not {size}")
    return np.frombuffer(samples, shape.dtype.newbyteorder("<")).reshape(shape.frame_shape).astype(shape.dtype)


def _after_head(frame: bytes) -> Reader:
    reader = Reader(frame)
    reader.byte()
    return reader


def _unsigned(shape: Shape) -> np.dtype[Any]:
    return np.dtype(np.uint8 if shape.dtype == np.uint8 else np.uint16)
