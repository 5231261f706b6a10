"""A DICOM server in this process, on an archive without codec processes, with the settings that a test is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mripacs import Archive, load_settings
from mripacs.dimse import DicomServer
from tests.security.authority import Authority, Identity


@contextmanager
def serving(folder: Path, flags: dict) -> Iterator[tuple[DicomServer, Archive]]:
    """The server and its archive; both end with the block."""
    merged = {**flags, "archive": {"directory": folder, **flags.get("archive", {})}}
    merged["dimse"] = {"port": 0, **flags.get("dimse", {})}
    with Archive.open(settings=load_settings(flags=merged, environment={})) as archive:
        server = DicomServer(archive)
        archive.compress_behind()
        server.start()
        try:
            yield server, archive
        finally:
            server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[DicomServer, Archive]]]:
    """`serve(dimse={...}, limits={...})` is a running server and its archive."""
    with ExitStack() as stack:
        yield lambda **flags: stack.enter_context(serving(tmp_path / "archive", flags))


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], Path]) -> Authority:
    """The authority that everybody is told to believe."""
    require_program("openssl")
    return Authority(tmp_path_factory.mktemp("hospital"), "hospital").found()


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], Path]) -> Authority:
    """An authority that nobody believes."""
    require_program("openssl")
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger").found()


@pytest.fixture(scope="session")
def node_identity(hospital: Authority) -> Identity:
    """The node's certificate."""
    return hospital.identify("node")


@pytest.fixture(scope="session")
def viewer(hospital: Authority) -> Identity:
    """The certificate of somebody else in the hospital."""
    return hospital.identify("viewer")
