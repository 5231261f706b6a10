"""The frames of one stack share a fate: all that is given out of a lossy encode stays as it is, exact frames too.

A frame without a fixed point within its target is kept exactly, beside frames that lost something. Were it coded
alone by the next node, under a coarser target, it would lose something there, and the second generation of the stack
would differ from the first. So a stack that holds fixed points is taken for what it is, the result of a lossy encode,
and its other frames are kept exactly; and a stack is never coded such that the next encoder could not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from mripacs.codec.kwavelet.frame import CodedFrame, Prepared, exact_frame, lossy_frame, stable_frame
from mripacs.codec.payload import Shape
from mripacs.core.model import Effort, Generation, Target


def code_frames(frames: NDArray[Any], shape: Shape, target: Target, effort: Effort) -> list[CodedFrame]:
    """Code frames (n, rows, columns) of uint8, uint16 or int16 within the target, each by itself but for the above."""
    prepared = _Prepared(frames)
    stable = [stable_frame(prepared[k], effort) for k in range(len(frames))]
    if any(found is not None and found.record.generation is Generation.STABLE for found in stable):
        return [found or exact_frame(frame, shape) for found, frame in zip(stable, frames, strict=True)]
    coded = [found or lossy_frame(prepared.taken(k), shape, target, effort) for k, found in enumerate(stable)]
    if _tells_its_loss(stable, coded):
        return coded
    return [found or exact_frame(frame, shape) for found, frame in zip(stable, frames, strict=True)]


class _Prepared:
    """Frames transformed when asked for; the last one is remembered, so that a single frame is transformed once."""

    def __init__(self, frames: NDArray[Any]) -> None:
        self._frames = frames
        self._last: tuple[int, Prepared] | None = None

    def taken(self, k: int) -> Prepared:
        """The frame, for the last time."""
        prepared, self._last = self[k], None
        return prepared

    def __getitem__(self, k: int) -> Prepared:
        if self._last is None or self._last[0] != k:
            self._last = None  # its memory is free before the next one takes some
            self._last = k, Prepared.of(self._frames[k])
        return self._last[1]


def _tells_its_loss(stable: Sequence[CodedFrame | None], coded: Sequence[CodedFrame]) -> bool:
    """Whether the next encoder sees that a stack with exact frames has lost something: by a fixed point it finds."""
    exact = any(
        found is None and frame.record.generation is Generation.LOSSLESS
        for found, frame in zip(stable, coded, strict=True)
    )
    lossy = [frame.record for frame in coded if frame.record.generation is Generation.FIRST_LOSS]
    return not (exact and lossy) or any(record.step is not None for record in lossy)
