"""Targets are hit from below, and closely: what is left of one is bytes given away."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mripacs.codec.kwavelet.codec import KWaveletCodec
from mripacs.core.model import Effort, FrameRecord, Target, TargetKind
from tests.codec.images import DEV_FOLDERS, DEV_SLICES, dev_slice

CODEC = KWaveletCodec()


def used(x: np.ndarray, y: np.ndarray, record: FrameRecord, target: Target) -> float:
    """The share of the target that was used up."""
    if target.kind is TargetKind.REL_ERROR:
        return record.rel_error / target.value
    if target.kind is TargetKind.MAX_ERROR:
        return record.max_error / target.value
    if target.kind is TargetKind.K:
        assert record.k is not None
        return record.k / target.value
    assert record.noise is not None
    energy = float(((x.astype(np.float64) - y) ** 2).sum())
    return math.sqrt(energy / (target.value * record.noise**2 * x.size))


@pytest.mark.parametrize("effort", list(Effort))
@pytest.mark.parametrize(
    ("target", "least"),
    [
        (Target(TargetKind.REL_ERROR, 0.05), 0.98),
        (Target(TargetKind.REL_ERROR, 0.02), 0.98),
        (Target(TargetKind.MAX_ERROR, 40), 0.95),  # whole numbers, and the worst pixel decides
        (Target(TargetKind.K, 900), 0.98),
        (Target(TargetKind.NOISE, 0.7), 0.98),
    ],
    ids=str,
)
def test_what_is_used_of_a_target(shared_data, effort: Effort, target: Target, least: float) -> None:
    shares = []
    for name in (*DEV_SLICES, *DEV_FOLDERS):
        x = dev_slice(shared_data, name)[:256, :256]
        encoded = CODEC.encode(x[None], target, effort=effort)
        if encoded.frames[0].step is not None:
            shares.append(used(x, encoded.decoded[0], encoded.frames[0], target))
    assert len(shares) >= 3
    assert max(shares) <= 1 + 1e-12
    assert np.mean(shares) >= least
