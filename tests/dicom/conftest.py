from __future__ import annotations

from collections.abc import Iterator

import pytest

from mripacs.dicom import walking


@pytest.fixture(scope="module", params=["Python", "compiled"])
def either_walk(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `scan` as it is in a process that has just begun, and in a node."""
    before = walking._loaded[:]
    walking._loaded.clear()
    if request.param == "compiled":
        walking.load()
    yield
    walking._loaded[:] = before
