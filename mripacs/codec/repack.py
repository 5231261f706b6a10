"""Coding the indices of a payload again, by another coder: other bytes, the same pixels, no original needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mripacs.codec.contract import DEFAULT_MAX_SAMPLES
from mripacs.codec.decoding import decode_frame
from mripacs.codec.frames import FrameKind, split_head
from mripacs.codec.payload import Shape, pack, unpack
from mripacs.core.errors import CodecMismatchError
from mripacs.core.model import Effort


def repack(
    payload: bytes,
    effort: Effort = Effort.SMALL,
    *,
    tables: bytes | None = None,
    max_samples: int = DEFAULT_MAX_SAMPLES,
) -> bytes:
    """The payload with its wavelet frames coded as `effort` says, each where that makes it smaller.

    Frames of other kinds stay as they are, and so does a payload that has no other. tables : name of tables for the
    small coder instead of those that ship (`mripacs.codec.tables_registry`). What was coded again was decoded and
    compared with the old pixels. Raises PayloadError for a malformed payload, UnknownTablesError, CodecMismatchError if
    the comparison fails.
    """
    container = unpack(payload, max_samples)
    frames = tuple(_repacked(frame, container.shape, effort, tables) for frame in container.frames)
    return payload if frames == container.frames else pack(replace(container, frames=frames))


def _repacked(frame: bytes, shape: Shape, effort: Effort, tables: bytes | None) -> bytes:
    if split_head(frame)[0] is not FrameKind.KWAVELET:
        return frame
    from mripacs.codec.kwavelet.again import code_again  # noqa: PLC0415 - loads numba

    coded = code_again(frame, shape, effort, tables)
    if coded is None or len(coded) >= len(frame):
        return frame
    if not np.array_equal(decode_frame(coded, shape), decode_frame(frame, shape)):
        raise CodecMismatchError("a frame that was coded again does not decode to the same pixels")
    return coded
