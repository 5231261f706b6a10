"""The generation proof on demand: stored pixels of a frame encoded again and again, each result compared.

Runs in a codec process; pure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mripacs.codec import registry
from mripacs.core.digests import pixel_digest
from mripacs.core.model import FrameRecord, Target, TargetKind, Tier

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GENERATIONS = 20


@dataclass(frozen=True, slots=True)
class GenerationsJob:
    """A frame (rows, columns), the target of each encode, and how many follow one another."""

    frame: NDArray[Any]
    rel_error: float
    generations: int


@dataclass(frozen=True, slots=True)
class GenerationStep:
    """One encode and decode of what the one before gave; the first one's input is what is stored."""

    number: int
    record: FrameRecord
    payload_bytes: int
    payload_digest: str  # SHA-256
    pixel_digest: str  # SHA-256 of what was decoded from the payload
    same_pixels: bool  # as its input
    max_error: int  # largest difference from what is stored


@dataclass(frozen=True, slots=True)
class Generations:
    """What the encodes gave, and the pixels of the last one."""

    steps: tuple[GenerationStep, ...]
    pixels: NDArray[Any]

    @property
    def stable(self) -> bool:
        """Whether nothing changed any more once an encode had lost something, or nothing ever did."""
        return all(step.same_pixels for step in self.steps[1:])

    @property
    def identical(self) -> bool:
        """Whether every generation has the stored pixels."""
        return all(step.same_pixels for step in self.steps)


def run_generations(job: GenerationsJob) -> Generations:
    """Encode, decode the payload, encode that. Raises CodecError for what the K-wavelet codec does not take."""
    codec = registry.find(Tier.KWAVELET)
    target = Target(TargetKind.REL_ERROR, job.rel_error)
    stored = np.ascontiguousarray(job.frame)[np.newaxis]
    current, steps = stored, []
    for number in range(1, min(job.generations, MAX_GENERATIONS) + 1):
        encoded = codec.encode(current, target)
        decoded = codec.decode(encoded.payload, max_samples=max(1, stored.size))
        steps.append(
            GenerationStep(
                number,
                encoded.frames[0],
                len(encoded.payload),
                hashlib.sha256(encoded.payload).hexdigest(),
                pixel_digest(decoded),
                bool(np.array_equal(decoded, current)),
                int(np.abs(decoded.astype(np.int64) - stored).max()),
            )
        )
        current = decoded
    return Generations(tuple(steps), current[0])
