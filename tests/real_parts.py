"""The real data and programs that tests need: found, or named as absent. Under CI an absent one is a failure."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
POSTGRESQL = Path("/usr/lib/postgresql")  # Debian keeps initdb, postgres and pg_ctl out of the PATH, by version

# What a machine lacked in this run; the terminal summary prints it.
absent: dict[str, str] = {}


def lacking(part: str, remedy: str) -> NoReturn:
    """Skip the test for want of `part`, or fail it where CI=true promises that every real part is there."""
    absent[part] = remedy
    reason = f"{part} is absent: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str) -> Path:
    """Where an executable is, on the PATH or in the newest PostgreSQL of Debian's; `lacking` if nowhere."""
    beside = os.pathsep.join(str(folder / "bin") for folder in _newest_first(POSTGRESQL.glob("*")))
    found = shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        lacking(name, "`bash .ci/run` installs it on Debian")
    return Path(found)


def module(name: str, remedy: str) -> ModuleType:
    """A module of an extra; `lacking` if it is not installed. For the top of a file of tests."""
    try:
        return importlib.import_module(name)
    except ImportError:
        absent[name] = remedy
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{name} is absent: {remedy}", allow_module_level=True)


def shared_data() -> Path:
    """The folder of real data beside the repository, with `dev` and `train` in it; `lacking` if it is not there."""
    if not (SHARED_DATA / "dev").is_dir():
        lacking("shared/data", f"no folder {SHARED_DATA / 'dev'}")
    return SHARED_DATA


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def middle_of_each_folder(folder: Path) -> list[Path]:
    """One file of each folder that has files, the middle one: a slice with anatomy in it, not the first."""
    siblings: dict[Path, list[Path]] = {}
    for path in files_below(folder):
        siblings.setdefault(path.parent, []).append(path)
    return [paths[len(paths) // 2] for paths in siblings.values()]


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    return sorted(folders, key=lambda folder: int(folder.name) if folder.name.isdigit() else 0, reverse=True)
