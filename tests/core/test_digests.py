"""A pixel digest names the samples, not how memory holds them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from mripacs.core.digests import pixel_digest

RAMP = np.arange(-6, 6, dtype=np.int16).reshape(1, 3, 4)


def test_it_is_the_sha_256_of_little_endian_samples_in_order() -> None:
    samples = b"".join(int(value).to_bytes(2, "little", signed=True) for value in range(-6, 6))
    assert pixel_digest(RAMP) == hashlib.sha256(samples).hexdigest()


@pytest.mark.parametrize(
    "same",
    [RAMP.astype(">i2"), np.asfortranarray(RAMP), np.repeat(RAMP, 2, axis=2)[:, :, ::2], RAMP.reshape(3, 4)],
    ids=["big endian", "Fortran order", "strided", "without the frame axis"],
)
def test_the_layout_does_not_matter(same: np.ndarray) -> None:
    assert pixel_digest(same) == pixel_digest(RAMP)


@pytest.mark.parametrize("other", [RAMP + np.int16(1), RAMP[:, ::-1], RAMP.astype(np.int32)])
def test_other_samples_have_another_digest(other: np.ndarray) -> None:
    assert pixel_digest(other) != pixel_digest(RAMP)
