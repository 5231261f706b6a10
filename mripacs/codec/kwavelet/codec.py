"""Codec kwavelet, version 2: bounded loss, stable over generations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.arrays import checked_frames
from mripacs.codec.contract import DEFAULT_MAX_SAMPLES
from mripacs.codec.decoding import decode_all, decode_one
from mripacs.codec.kwavelet.stack import code_frames
from mripacs.codec.payload import Container, pack
from mripacs.core.errors import CodecInputError
from mripacs.core.model import Effort, Encoded, Target

CODEC_ID = 1


@dataclass(frozen=True, slots=True)
class KWaveletCodec:
    """Frames within a target each; what it gave out once it gives back exactly, whatever the target."""

    name: str = "kwavelet"
    version: int = 2

    def encode(self, frames: NDArray[Any], target: Target | None = None, *, effort: Effort = Effort.FAST) -> Encoded:
        """Code frames (n, rows, columns) of uint8, uint16 or int16 within `target`; see `Codec.encode`.

        Raises CodecInputError without a target or with a value that is not positive and finite.
        """
        if target is None or not (math.isfinite(target.value) and target.value > 0):
            raise CodecInputError(f"codec kwavelet needs a target with a positive, finite value, got {target}")
        native, shape = checked_frames(frames, colour=False)
        coded = code_frames(native, shape, target, effort)
        payload = pack(Container(CODEC_ID, shape, len(coded) > 1, tuple(frame.data for frame in coded)))
        return Encoded(payload, tuple(frame.record for frame in coded), np.stack([frame.decoded for frame in coded]))

    def decode(self, payload: bytes, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """All frames; see `Codec.decode`."""
        return decode_all(payload, max_samples)

    def decode_frame(self, payload: bytes, index: int, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """One frame; see `Codec.decode_frame`."""
        return decode_one(payload, index, max_samples)
