"""The wheel holds what an installation needs, and nothing that only a checkout needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.real_parts import REPOSITORY


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of the wheel, built without network or isolation."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, REPOSITORY], check=True)
    (wheel,) = folder.glob("mripacs-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def shipped(folder: str, suffix: str) -> set[str]:
    """Files of the checkout below `folder` with that suffix, relative to it."""
    root = REPOSITORY / folder
    return {path.relative_to(root).as_posix() for path in root.rglob(f"*{suffix}") if "__pycache__" not in path.parts}


@pytest.mark.parametrize(
    ("folder", "suffix", "place"),
    [("mripacs", ".py", "mripacs"), ("mripacs", ".npz", "mripacs"), ("migrations", ".py", "mripacs/_migrations")],
)
def test_it_holds_all_of(names: list[str], folder: str, suffix: str, place: str) -> None:
    expected = {f"{place}/{name}" for name in shipped(folder, suffix)}
    assert expected
    assert expected <= set(names)


@pytest.mark.parametrize("name", ["mripacs/py.typed", "mripacs/_config/mripacs.toml"])
def test_it_holds(names: list[str], name: str) -> None:
    assert name in names


def test_it_holds_the_licence_and_the_command(names: list[str]) -> None:
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert [name for name in names if name.endswith("entry_points.txt")]


def test_everything_in_it_is_ours(names: list[str]) -> None:
    assert {Path(name).parts[0].partition("-")[0] for name in names} == {"mripacs"}
    assert not [name for name in names if "tests" in Path(name).parts or "__pycache__" in name]
