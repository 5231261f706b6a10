"""The node's local socket, and what nodes that were killed leave of theirs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mripacs.core import status
from mripacs.core.errors import SettingsError


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of this test's own, with a short path: sockets take 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="s-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def leftover(temporary: Path, process_id: int) -> Path:
    """What a node of that process ID would have left."""
    folder = temporary / f"{status.PREFIX}{process_id}-abc"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "status"))
    return folder


@pytest.fixture
def ended_process() -> int:
    """The ID of a process that there is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_node_left_is_removed(temporary, ended_process):
    left = leftover(temporary, ended_process)
    server = status.StatusServer(lambda: {"ready": True})
    server.start()
    try:
        assert not left.exists()
        assert status.ask(server.address) == {"ready": True}
    finally:
        server.close()
    assert list(temporary.iterdir()) == []
    assert status.ask(server.address) is None


def test_what_belongs_to_a_running_process_stays(temporary):
    left = leftover(temporary, os.getpid())
    status.remove_stale()
    assert left.exists()


def test_who_still_answers_stays_whatever_its_number_says(temporary, ended_process):
    """In another process namespace, as containers that share a folder have, the number says nothing."""
    folder = temporary / f"{status.PREFIX}{ended_process}-abc"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "status"))
        listening.listen()
        status.remove_stale()
        assert folder.exists()
    status.remove_stale()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", "-", "x-abc", "0x10-abc", "12"])
def test_what_only_looks_like_one_stays(temporary, name):
    folder = temporary / f"{status.PREFIX}{name}"
    folder.mkdir()
    status.remove_stale()
    assert folder.exists()


def test_a_link_is_not_followed(temporary, tmp_path, ended_process):
    """A folder for temporary files is everybody's: a link under such a name must not cost what it leads to."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (temporary / f"{status.PREFIX}{ended_process}-abc").symlink_to(precious)
    status.remove_stale()
    assert (precious / "file").exists()


def test_a_folder_whose_path_is_too_long_for_a_socket(temporary, monkeypatch):
    deep = temporary / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(SettingsError, match="TMPDIR"):
        status.StatusServer(dict)
    assert list(deep.iterdir()) == []
