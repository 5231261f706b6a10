"""One frame of codec kwavelet: from pixels to the frame's bytes and record, and back.

Order of questions: constant? already a fixed point? is there a fixed point within the target that detection would find
again? If nothing else, the lossless codec's frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.exact import encode_exact
from mripacs.codec.frames import FrameKind, encode_constant, head
from mripacs.codec.kwavelet import noise, search, small_search
from mripacs.codec.kwavelet.detect import detect
from mripacs.codec.kwavelet.kernel import ClipRange, Quantised, decode, transform
from mripacs.codec.kwavelet.metrics import frame_record
from mripacs.codec.kwavelet.modes import WRITTEN, coder
from mripacs.codec.kwavelet.search import Goal, goal_of, level_within
from mripacs.codec.kwavelet.steps import STEP_COUNT, grey_levels
from mripacs.codec.payload import Reader, Shape
from mripacs.core.errors import PayloadError
from mripacs.core.model import Effort, FrameRecord, Generation, Target

STEP_BITS = 11
_CANDIDATES = {Effort.FAST: search.candidates, Effort.SMALL: small_search.candidates}
MAX_BITS = 16  # of an unsigned sample; a signed one has 15 and its sign


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A frame's bytes, its record, and what it decodes to (rows, columns)."""

    data: bytes
    record: FrameRecord
    decoded: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame with what all questions about it start from."""

    frame: NDArray[Any]  # (rows, columns) of uint8, uint16 or int16
    coefficients: NDArray[np.float64]  # W(frame)

    @classmethod
    def of(cls, frame: NDArray[Any]) -> Prepared:
        """The frame transformed."""
        return cls(frame, transform(frame))


def stable_frame(prepared: Prepared, effort: Effort) -> CodedFrame | None:
    """The frame if it is constant or a fixed point already, else None."""
    frame = prepared.frame
    if _is_constant(frame):
        return _constant(frame, frame)
    quantised = detect(prepared.frame, prepared.coefficients)
    return None if quantised is None else _coded(frame, frame, quantised, Generation.STABLE, effort)


def lossy_frame(prepared: Prepared, shape: Shape, target: Target, effort: Effort) -> CodedFrame:
    """A frame that is not stable yet within the target, or exactly if there is no fixed point within it."""
    frame = prepared.frame
    goal = goal_of(frame, prepared.coefficients, target)
    level = level_within(goal)
    if level is not None:
        return _with_noise(_constant(frame, np.full_like(frame, level)), goal)
    chosen = _chosen(goal, prepared, effort)
    del prepared  # its memory serves the coder
    if chosen is None:
        return _with_noise(exact_frame(frame, shape), goal)
    decoded, quantised = chosen
    if quantised is None:
        return _with_noise(_constant(frame, decoded), goal)
    return _with_noise(_coded(frame, decoded, quantised, Generation.FIRST_LOSS, effort), goal)


def _chosen(goal: Goal, prepared: Prepared, effort: Effort) -> tuple[NDArray[Any], Quantised | None] | None:
    """The best fixed point that detection would find again: its pixels and indices, those only if not constant."""
    for trial in _CANDIDATES[effort](goal, prepared.coefficients):
        point = trial.point
        decoded = point.pixels.astype(prepared.frame.dtype)
        if _is_constant(decoded):
            return decoded, None
        found = detect(point.pixels, point.transformed(), point.quantised)
        # Detection may answer with another step at which the same pixels are a fixed point, of more indices.
        if found is not None and found.nonzero <= goal.count:
            return decoded, found
    return None


def _with_noise(coded: CodedFrame, goal: Goal) -> CodedFrame:
    """The frame with the noise that its target rests on in its record."""
    if goal.noise is None:
        return coded
    return replace(coded, record=replace(coded.record, noise=goal.noise, noise_method=noise.METHOD))


def exact_frame(frame: NDArray[Any], shape: Shape) -> CodedFrame:
    """A frame by the lossless codec."""
    return CodedFrame(encode_exact(frame, shape), frame_record(frame, frame, Generation.LOSSLESS), frame)


def _is_constant(frame: NDArray[Any]) -> bool:
    return bool((frame == frame.flat[0]).all())


def _constant(frame: NDArray[Any], decoded: NDArray[Any]) -> CodedFrame:
    generation = (
        Generation.LOSSLESS if _is_constant(frame) and frame.flat[0] == decoded.flat[0] else Generation.FIRST_LOSS
    )
    return CodedFrame(encode_constant(decoded), frame_record(frame, decoded, generation), decoded)


def _coded(
    frame: NDArray[Any], decoded: NDArray[Any], quantised: Quantised, generation: Generation, effort: Effort
) -> CodedFrame:
    record = frame_record(frame, decoded, generation, grey_levels(quantised.step), quantised.nonzero)
    return CodedFrame(pack_quantised(quantised, ClipRange.of(decoded), effort), record, decoded)


def pack_quantised(quantised: Quantised, clip: ClipRange, effort: Effort) -> bytes:
    """A kwavelet frame's bytes (`mripacs.codec.frames` has the table)."""
    detail = MAX_BITS + clip.bits if clip.signed else clip.bits - 1
    mode = WRITTEN[effort]
    step = (mode << STEP_BITS | quantised.step).to_bytes(2, "little")
    return head(FrameKind.KWAVELET, detail) + step + coder(mode).encode(quantised)


def decode_frame(detail: int, reader: Reader, shape: Shape) -> NDArray[Any]:
    """A kwavelet frame (rows, columns) from its clip code and the bytes after it; raises as `unpack_quantised` does."""
    quantised, clip = unpack_quantised(detail, reader, shape)
    return decode(quantised, clip).astype(shape.dtype)


def unpack_quantised(detail: int, reader: Reader, shape: Shape) -> tuple[Quantised, ClipRange]:
    """Undo `pack_quantised`, from the clip code and the bytes after it.

    Raises PayloadError for unknown modes and steps, pixels outside the sample type, and impossible coded bands.
    """
    if shape.samples_per_pixel != 1:
        raise PayloadError("a kwavelet frame has one sample a pixel")
    signed = detail >= MAX_BITS
    clip = ClipRange(signed, detail - MAX_BITS if signed else detail + 1)
    limits = np.iinfo(shape.dtype)
    if clip.low < limits.min or clip.high > limits.max:
        raise PayloadError(f"pixels from {clip.low} to {clip.high} do not fit {shape.dtype}")
    mode, step = divmod(int.from_bytes(reader.take(2), "little"), 1 << STEP_BITS)
    if step >= STEP_COUNT:
        raise PayloadError(f"unknown step {step}")
    return coder(mode).decode(reader.take(reader.left), shape.rows, shape.columns, step), clip
