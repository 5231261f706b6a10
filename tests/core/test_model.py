"""Values that cross rooms keep what they hold through their JSON form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mripacs.core.model import Certificate, FrameRecord, Generation, Target, TargetKind, Tier

FINITE = st.floats(allow_nan=False, allow_infinity=False)
FRAMES = st.builds(FrameRecord, rel_error=FINITE, psnr_db=st.none() | FINITE, step=st.none() | FINITE)
CERTIFICATES = st.builds(Certificate, frames=st.lists(FRAMES, max_size=4).map(tuple))


@given(CERTIFICATES)
def test_a_certificate_survives_json(certificate: Certificate) -> None:
    text = json.dumps(certificate.to_json())
    again = Certificate.from_json(json.loads(text))
    assert again == certificate
    assert [type(again.tier), type(again.generation), type(again.frames)] == [Tier, Generation, tuple]
    assert all(isinstance(frame.generation, Generation) for frame in again.frames)


@given(CERTIFICATES)
def test_the_worst_frame_has_the_largest_relative_error(certificate: Certificate) -> None:
    if not certificate.frames:
        assert certificate.worst is None
    else:
        assert certificate.worst in certificate.frames
        assert certificate.worst.rel_error == max(frame.rel_error for frame in certificate.frames)


@given(CERTIFICATES)
def test_only_a_first_loss_is_lossy(certificate: Certificate) -> None:
    assert certificate.lossy is (certificate.generation == "first loss")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(TargetKind.REL_ERROR, 0.05), "rel_error=0.05"),
        (Target(TargetKind.MAX_ERROR, 4.0), "max_error=4"),
        (Target(TargetKind.K, 3000.0), "k=3000"),
    ],
)
def test_a_target_reads_as_its_setting(target: Target, words: str) -> None:
    assert str(target) == words
