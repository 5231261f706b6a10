"""What happens when a real part is absent: a skip that says so, and under CI a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import real_parts


@pytest.fixture(autouse=True)
def nothing_absent(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    absent: dict[str, str] = {}
    monkeypatch.setattr(real_parts, "absent", absent)
    return absent


@pytest.fixture
def a_file_of(tmp_path: Path):
    def make(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
        return path

    return make


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
@pytest.mark.parametrize("part", ["program", "shared data"])
def test_absence_skips_at_home_and_fails_under_ci(monkeypatch, nothing_absent, ci: str, outcome, part: str) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(real_parts, "SHARED_DATA", Path("/nowhere"))
    with pytest.raises(outcome, match="is absent"):
        real_parts.program("no-such-program") if part == "program" else real_parts.shared_data()
    assert set(nothing_absent) <= {"no-such-program", "shared/data"}
    assert len(nothing_absent) == 1


def test_a_program_of_postgresql_is_found_in_the_newest_version(monkeypatch, tmp_path: Path, a_file_of) -> None:
    monkeypatch.setattr(real_parts, "POSTGRESQL", tmp_path)
    monkeypatch.setenv("PATH", os.devnull)
    a_file_of("9/bin/initdb")
    newest = a_file_of("15/bin/initdb")
    assert real_parts.program("initdb") == newest


def test_a_sample_has_the_middle_file_of_each_folder(tmp_path: Path, a_file_of) -> None:
    names = ["a/1", "a/2", "a/3", "b/c/1"]
    files = [a_file_of(name) for name in names]
    assert real_parts.files_below(tmp_path) == files
    assert real_parts.middle_of_each_folder(tmp_path) == [files[1], files[3]]


def test_the_sets_hold_images(dev_files: list[Path], train_sample: list[Path]) -> None:
    assert len(dev_files) > 100
    assert len(train_sample) >= 3
    assert {path.stat().st_size > 0 for path in train_sample} == {True}
