"""Codec kwavelet, version 1: bounded loss, stable over generations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.arrays import checked_frames
from mripacs.codec.contract import DEFAULT_MAX_SAMPLES
from mripacs.codec.decoding import decode_all, decode_frame, decode_one
from mripacs.codec.kwavelet.stack import code_frames
from mripacs.codec.payload import Container, pack
from mripacs.core.errors import CodecInputError, CodecMismatchError
from mripacs.core.model import Effort, Encoded, Target

CODEC_ID = 1


@dataclass(frozen=True, slots=True)
class KWaveletCodec:
    """Frames within a target each; what it gave out once it gives back exactly, whatever the target."""

    name: str = "kwavelet"
    version: int = 1

    def encode(self, frames: NDArray[Any], target: Target | None = None, *, effort: Effort = Effort.FAST) -> Encoded:
        """Code frames (n, rows, columns) of uint8, uint16 or int16 within `target`; see `Codec.encode`.

        Every frame's bytes are decoded and compared before this returns. Raises CodecInputError without a target or
        with a value that is not positive and finite, CodecMismatchError if the comparison fails.
        """
        if target is None or not (math.isfinite(target.value) and target.value > 0):
            raise CodecInputError(f"codec kwavelet needs a target with a positive, finite value, got {target}")
        native, shape = checked_frames(frames, colour=False)
        coded = code_frames(native, shape, target, effort)
        for number, frame in enumerate(coded):
            if not np.array_equal(decode_frame(frame.data, shape), frame.decoded):
                raise CodecMismatchError(f"frame {number} does not decode to what its encoding promised")
        payload = pack(Container(CODEC_ID, shape, len(coded) > 1, tuple(frame.data for frame in coded)))
        return Encoded(payload, tuple(frame.record for frame in coded), np.stack([frame.decoded for frame in coded]))

    def decode(self, payload: bytes, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """All frames; see `Codec.decode`."""
        return decode_all(payload, max_samples)

    def decode_frame(self, payload: bytes, index: int, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """One frame; see `Codec.decode_frame`."""
        return decode_one(payload, index, max_samples)
