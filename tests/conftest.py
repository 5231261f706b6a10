"""What all tests share: real data and programs, a clean environment, and how hypothesis looks for examples."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mripacs.core.settings import ENV_PREFIX
from tests import real_parts

# No deadline: the first example of a compiled kernel pays for its compilation. CI tries the same examples each time.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the tests marked `faults` go on, and where their random numbers begin."""
    group = parser.getgroup("faults")
    group.addoption("--kills", type=int, default=20, help="kills of the node in all tests together (default: 20)")
    group.addoption(
        "--fault-seed", type=int, default=None, help="seed of kills and faults (default: another each time)"
    )


def pytest_configure() -> None:
    """Start every program of DCMTK without Nagle's algorithm: it costs 40 ms a message."""
    os.environ.setdefault("TCP_NODELAY", "1")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which real parts were not there, so that a green run cannot hide them among its skips."""
    if real_parts.absent:
        terminalreporter.section("absent real parts")
        for part, remedy in sorted(real_parts.absent.items()):
            terminalreporter.write_line(f"{part}: {remedy}")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test."""
    for name in list(os.environ):
        if name.startswith(ENV_PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Handlers that a command installs write to the stream of its test: none may reach the next one."""
    root, ours = logging.getLogger(), logging.getLogger("mripacs")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = handlers, level, our_level


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], Path]:
    """`require_program("storescu")` is the path of that executable; without it the test is skipped, under CI failed."""
    return real_parts.program


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, `dev` for tests and reports and `train` for tuning; its SOURCES.md describes them."""
    return real_parts.shared_data()


@pytest.fixture(scope="session")
def dev_files(shared_data: Path) -> list[Path]:
    """Every file of the dev set, DICOM in all its dialects."""
    return real_parts.files_below(shared_data / "dev")


@pytest.fixture(scope="session")
def train_sample(shared_data: Path) -> list[Path]:
    """One file of each folder of the train set."""
    return real_parts.middle_of_each_folder(shared_data / "train")
