"""What every codec is: arrays of frames in, payload bytes out, and back."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from mripacs.core.model import Effort, Encoded, Target

# Most samples that a decoder makes unless the caller says otherwise: 2^28, 512 MiB of 16-bit pixels.
DEFAULT_MAX_SAMPLES = 1 << 28


@runtime_checkable
class Codec(Protocol):
    """A named, versioned pair of encode and decode. Codecs have no state: one value may serve many threads."""

    @property
    def name(self) -> str:
        """The registry's key."""

    @property
    def version(self) -> int:
        """Grows with every change of the bytes that `encode` makes; `decode` reads all earlier versions."""

    def encode(self, frames: NDArray[Any], target: Target | None = None, *, effort: Effort = Effort.FAST) -> Encoded:
        """Code frames (n, rows, columns) of uint8, uint16 or int16, or (n, rows, columns, 3) of uint8.

        Strides and byte order are free; `effort` says how much time the bytes are worth. The proof that the payload
        decodes to `Encoded.decoded` is the caller's (`ingest.compress` proves every instance before it keeps it).
        Raises CodecInputError for other arrays and for targets that the codec does not know.
        """

    def decode(self, payload: bytes, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """All frames, shape and type as given to `encode`, native byte order.

        Raises PayloadError for malformed bytes, CodecLimitError if they claim more than `max_samples` samples.
        """

    def decode_frame(self, payload: bytes, index: int, *, max_samples: int = DEFAULT_MAX_SAMPLES) -> NDArray[Any]:
        """Frame `index` (from 0) alone: (rows, columns) or (rows, columns, 3). PayloadError if there is none such."""
