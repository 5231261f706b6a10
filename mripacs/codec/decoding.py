"""Decoding of any payload: the container says what the frames have in common, each frame says how it was coded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.exact import decode_jpeg_xl, decode_raw
from mripacs.codec.frames import FrameKind, decode_constant, split_head
from mripacs.codec.payload import Reader, Shape, unpack
from mripacs.core.errors import PayloadError


def decode_all(payload: bytes, max_samples: int) -> NDArray[Any]:
    """All frames (n, rows, columns[, 3]) of a payload; see `Codec.decode`."""
    container = unpack(payload, max_samples)
    return np.stack([decode_frame(frame, container.shape) for frame in container.frames])


def decode_one(payload: bytes, index: int, max_samples: int) -> NDArray[Any]:
    """Frame `index` (rows, columns[, 3]) of a payload; the others are not decoded."""
    container = unpack(payload, max_samples)
    if not 0 <= index < len(container.frames):
        raise PayloadError(f"payload has {len(container.frames)} frames, none with index {index}")
    return decode_frame(container.frames[index], container.shape)


def decode_frame(frame: bytes, shape: Shape) -> NDArray[Any]:
    """One frame from its bytes."""
    kind, detail, reader = split_head(frame)
    if detail and kind is not FrameKind.KWAVELET:
        raise PayloadError(f"unknown details {detail} of a {kind.name} frame")
    if kind is FrameKind.KWAVELET:
        return _decode_kwavelet(detail, reader, shape)
    return _DECODERS[kind](reader, shape)


def _decode_kwavelet(detail: int, reader: Reader, shape: Shape) -> NDArray[Any]:
    from mripacs.codec.kwavelet.frame import decode_frame as decode_kwavelet  # noqa: PLC0415 - numba takes 0.4 s

    return decode_kwavelet(detail, reader, shape)


_DECODERS: dict[FrameKind, Callable[[Reader, Shape], NDArray[Any]]] = {
    FrameKind.CONSTANT: decode_constant,
    FrameKind.JPEG_XL: decode_jpeg_xl,
    FrameKind.RAW: decode_raw,
}
