"""Nodes under faults: disks that fill up or fail, databases that go away, clocks that jump. All of it is `faults`."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import real_parts
from tests.e2e.conftest import start_node

__all__ = ["start_node"]  # a fixture of others


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """None of it is for `make test`."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """`small_disk("8m")` mounts a file system of that size, again with another size changes it; gives its folder."""
    folder = tmp_path / "disk"

    def mount(size: str) -> Path:
        folder.mkdir(exist_ok=True)
        options = f"size={size},mode=0700" + (",remount" if folder.is_mount() else "")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", folder], check=True)


class FailingDisk:
    """A library between a node and the C library; `fail` makes calls on files of its folder fail, `work` ends that."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._control = folder.parent / "fault"
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAULTY_FOLDER": str(folder),
            "FAULTY_CONTROL": str(self._control),
        }

    def fail(self, calls: str, number: int) -> None:
        """calls : "sync" or "write". number : of errno."""
        partial = self._control.with_suffix(".partial")
        partial.write_text(f"{calls} {number}\n", encoding="ascii")
        partial.rename(self._control)

    def work(self) -> None:
        """No call fails any longer."""
        self._control.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def failing_disk_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, compiled here."""
    library = tmp_path_factory.mktemp("library") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run([real_parts.program("cc"), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def failing_disk(tmp_path: Path, failing_disk_library: Path) -> FailingDisk:
    """A disk below the node called "node" that works until it is told to fail."""
    return FailingDisk(failing_disk_library, tmp_path / "node" / "archive")


READ_ONLY, INPUT_OUTPUT, NO_SPACE, QUOTA = errno.EROFS, errno.EIO, errno.ENOSPC, errno.EDQUOT
