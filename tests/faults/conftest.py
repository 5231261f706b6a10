"""Random numbers that can be had again, and a table of what was done at the end of the run."""

from __future__ import annotations

import random
import secrets

import pytest

from tests.postgres import new_postgres_database, postgres_server

__all__ = ["new_postgres_database", "postgres_server"]  # fixtures of others

RECORDS: list[str] = []


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
