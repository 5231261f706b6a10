"""The lossless codec: JPEG XL by imagecodecs, proved by decoding, with zlib behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mripacs.codec.arrays import checked_frames
from mripacs.codec.contract import DEFAULT_MAX_SAMPLES
from mripacs.codec.decoding import decode_all, decode_one
from mripacs.codec.exact import encode_exact
from mripacs.codec.payload import Container, pack
from mripacs.core.errors import CodecInputError
from mripacs.core.model import Effort, Encoded, FrameRecord, Generation, Target

CODEC_ID = 2
EXACT = FrameRecord(Generation.LOSSLESS, 0.0, 0, None, None, None)


@dataclass(frozen=True, slots=True)
class LosslessCodec:
    """Frames without error, each decodable alone."""

    name: str = "lossless"
    version: int = 1

    def encode(self, frames: NDArray[Any], target: Target | None = None, *, effort: Effort = Effort.FAST) -> Encoded:
        """Code frames exactly, at one effort; see `Codec.encode`. Raises CodecInputError if a target is given."""
        if target is not None:
            raise CodecInputError(f"the lossless codec takes no target, got {target}")
        native, shape = checked_frames(frames, colour=True)
        coded = tuple(encode_exact(frame, shape) for frame in native)
        payload = pack(Container(CODEC_ID, shape, len(coded) > 1, coded))
        return Encoded(payload, (EXACT,) * len(coded), native)

    def decode(self, payload: bytes, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """All frames; see `Codec.decode`."""
        return decode_all(payload, max_samples)

    def decode_frame(self, payload: bytes, index: int, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """One frame; see `Codec.decode_frame`."""
        return decode_one(payload, index, max_samples)
