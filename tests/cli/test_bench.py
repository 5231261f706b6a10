"""`mripacs bench sizes`: bytes per instance by vendor, in an archive that is thrown away."""

from __future__ import annotations

import pytest

from tests.e2e.objects import mr_object, written


@pytest.fixture
def folder(tmp_path):
    for number, vendor in enumerate(["GE MEDICAL SYSTEMS", "GE_MEDICAL", "SIEMENS"]):
        written(mr_object(Manufacturer=vendor), tmp_path / f"{number}.dcm")
    return tmp_path


def test_sizes_by_vendor(mripacs, folder):
    *vendors, disk = mripacs("bench", "sizes", folder, "--json").json
    assert [row["vendor"] for row in vendors] == ["GE", "SIEMENS", "~ all"]
    assert [row["instances"] for row in vendors] == [2, 1, 3]
    for row in vendors:
        assert 0 < int(row["pixels kept"]) < int(row["pixels in"])
        assert 0 < int(row["header kept"]) < 2 * int(row["header in"])
    assert disk["bytes_on_disk"] > 0


def test_without_loss_more_is_kept(mripacs, folder):
    lossy, lossless = (mripacs("bench", "sizes", folder, "--json", *flag).json[2] for flag in ((), ("--lossless",)))
    assert int(lossy["pixels kept"]) < int(lossless["pixels kept"]) < int(lossless["pixels in"])


def test_a_table_for_a_readme(mripacs, folder):
    lines = mripacs("bench", "sizes", folder, "--markdown").out.splitlines()
    assert lines[0].startswith("| vendor | instances |")
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| GE", "| SIEMENS", "| ~ all"]
