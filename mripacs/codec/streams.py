"""Single frames as codestreams that other systems decode, without loss: JPEG-LS, JPEG 2000, HTJ2K.

Each stream is decoded again and compared before it is given out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import CodecInputError, CodecMismatchError

Frame = NDArray[Any]  # (rows, columns) or (rows, columns, 3), uint8, uint16 or int16


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of codestream."""

    encode: Callable[[Frame], bytes]
    decode: Callable[[bytes], Frame]
    signed: bool  # whether samples keep their sign; where not, words are coded as they lie in memory


def _jpeg2k(frame: Frame) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, level=None, codecformat="j2k", reversible=True, mct=False))


def _htj2k(frame: Frame) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True))


def _jpegls(frame: Frame) -> bytes:
    # CharLS asks for a buffer beforehand; noise in colour needs more than the samples themselves
    return bytes(imagecodecs.jpegls_encode(frame, out=2 * frame.nbytes + 4096))


STREAMS: Mapping[str, Stream] = {
    "jpeg-ls": Stream(_jpegls, imagecodecs.jpegls_decode, signed=False),
    "jpeg-2000": Stream(_jpeg2k, imagecodecs.jpeg2k_decode, signed=True),
    "htj2k": Stream(_htj2k, imagecodecs.htj2k_decode, signed=True),
}


def encode_stream(frame: Frame, kind: str) -> bytes:
    """A frame as a codestream of a kind in STREAMS. Raises CodecInputError for what the coder does not take."""
    stream = STREAMS[kind]
    words = frame if stream.signed or frame.dtype.kind == "u" else frame.view(np.uint16)
    words = np.ascontiguousarray(words)
    try:
        coded = stream.encode(words)
        decoded = stream.decode(coded)
    except (ValueError, RuntimeError, TypeError) as error:  # imagecodecs' errors are RuntimeErrors
        raise CodecInputError(f"{kind} does not take {frame.shape} {frame.dtype}: {type(error).__name__}") from error
    if decoded.dtype != words.dtype or not np.array_equal(decoded.reshape(words.shape), words):
        raise CodecMismatchError(f"the {kind} stream does not decode to its samples")
    return coded
