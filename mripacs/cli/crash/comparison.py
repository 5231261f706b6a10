"""Is what came back what was sent? Byte for byte, as an equal data set, or within a bound of declared loss."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.cli.crash.copies import Sample
from mripacs.core.errors import MripacsError
from mripacs.core.model import Outgoing, ReceivedObject
from mripacs.dicom import pixels, same, scan, transfer_syntax, values

LOSSY_IMAGE_COMPRESSION = 0x00282110  # PS3.3 C.7.6.1.1.5; "01": it has been subjected to lossy compression
STUDY_AND_SERIES = (0x0020000D, 0x0020000E)


class Likeness(StrEnum):
    """How an instance that came back relates to the one that was sent."""

    IDENTICAL = "identical"  # the same bytes
    EQUAL = "equal"  # another encoding of an equal data set, pixels equal
    WITHIN = "within bound"  # marked as lossy, each frame within the bound
    ALTERED = "altered"


def compare(sample: Sample, outgoing: Outgoing, rel_error: float) -> Likeness:
    """How `outgoing` relates to the sample; `rel_error` is the largest ||x - y||_F / ||x||_F of a frame, if lossy."""
    sent = sample.received()
    if (sent.dataset, sent.sop_instance_uid) == (outgoing.dataset, outgoing.sop_instance_uid):
        return Likeness.IDENTICAL
    if same.same_object(sent.dataset, sent.transfer_syntax, outgoing.dataset, outgoing.transfer_syntax):
        return Likeness.EQUAL
    try:
        return Likeness.WITHIN if _is_within(sent, outgoing, rel_error) else Likeness.ALTERED
    except MripacsError:  # what cannot be read or decoded is not what was sent
        return Likeness.ALTERED


def _is_within(sent: ReceivedObject, outgoing: Outgoing, rel_error: float) -> bool:
    before, frames_before = _read(sent.dataset, sent.transfer_syntax)
    after, frames_after = _read(outgoing.dataset, outgoing.transfer_syntax)
    return (
        after[LOSSY_IMAGE_COMPRESSION] == "01"
        and all(before[tag] == after[tag] for tag in STUDY_AND_SERIES)
        and frames_before.shape == frames_after.shape
        and worst_error(frames_before, frames_after) <= rel_error
    )


def _read(dataset: bytes, syntax: str) -> tuple[dict[int, str], NDArray[Any]]:
    """The elements that are compared, and the decoded frames."""
    plain = transfer_syntax.plain(dataset, syntax, len(dataset) * 1100)  # deflate shrinks to a 1032nd at best
    dataset_map = scan.scan(plain, syntax)
    found = {tag: values.text_value(plain, dataset_map, tag) for tag in (LOSSY_IMAGE_COMPRESSION, *STUDY_AND_SERIES)}
    description = pixels.describe(plain, dataset_map, syntax)
    return found, pixels.decode_frames(plain, dataset_map, syntax, description)


def worst_error(before: NDArray[Any], after: NDArray[Any]) -> float:
    """The largest relative error of a frame, (frames, ...) both; infinite where zeros became something else."""
    x = before.reshape(len(before), -1).astype(np.float64)
    difference = np.linalg.norm(x - after.reshape(len(after), -1), axis=1)
    norm = np.linalg.norm(x, axis=1)
    errors = np.divide(difference, norm, out=np.where(difference > 0, np.inf, 0.0), where=norm > 0)
    return float(errors.max())
