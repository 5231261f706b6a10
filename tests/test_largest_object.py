"""Objects at the limit: the largest that is taken comes back byte for byte, one byte pair more is refused."""

from __future__ import annotations

import hashlib
import os

import pytest

from mripacs import Archive, load_settings
from mripacs.core.errors import ObjectTooLargeError
from mripacs.core.settings import LARGEST_OBJECT_BYTES
from tests.security.test_hostile_content import element, report

RAW_DATA = 0x00420011  # Encapsulated Document, OB


def of_size(size: int):
    """An object that no compressor makes smaller."""
    frame = len(report(1, element(RAW_DATA, "OB", b"")).dataset)
    return report(1, element(RAW_DATA, "OB", os.urandom(size - frame)))


@pytest.mark.parametrize(
    "limit", [8_000_000, pytest.param(LARGEST_OBJECT_BYTES, marks=pytest.mark.slow)], ids=["lowered", "shipped"]
)
def test_at_the_limit(tmp_path, limit):
    flags = {"archive": {"directory": tmp_path}, "limits": {"max_object_bytes": limit}}
    with Archive.open(settings=load_settings(flags=flags, environment={})) as archive:
        with pytest.raises(ObjectTooLargeError):
            archive.store(of_size(limit + 2))
        assert archive.statistics().instances == 0
        received = of_size(limit)
        assert len(received.dataset) == limit
        digest = hashlib.sha256(received.dataset).digest()
        uid = archive.store(received).sop_instance_uid
        del received
        assert hashlib.sha256(archive.fetch_encoded(uid).dataset).digest() == digest
        assert [finding for _, found in archive.verify() for finding in found] == []
