"""A PostgreSQL server of the tests' own: loopback only, a free port, its files in a temporary folder, without fsync."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests import real_parts

SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "max_connections": "200"}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a running server's `postgres` database, user and password included; skipped where there is none."""
    initdb, pg_ctl = real_parts.program("initdb"), real_parts.program("pg_ctl")
    base = Path(tempfile.mkdtemp(prefix="mripacs-postgres-"))  # pytest's own folders are closed to the server's user
    port = _free_port()
    try:
        _hand_over(base)
        _as_server(initdb, "-D", base / "data", "-U", "mripacs", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = " ".join(f"-c {name}='{value}'" for name, value in (SETTINGS | {"port": str(port)}).items())
        _as_server(pg_ctl, "-D", base / "data", "-w", "-l", base / "log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://mripacs@127.0.0.1:{port}/postgres"
        finally:
            _as_server(pg_ctl, "-D", base / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def new_postgres_database(postgres_server: str) -> Callable[..., str]:
    """`new_postgres_database()` makes an empty database and is its URL; `of=url` makes a copy of that one."""
    numbers = itertools.count()

    def create(of: str = "/template0") -> str:
        name, template = f"archive_{next(numbers)}", of.rpartition("/")[2]
        engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        engine.dispose()
        return f"{postgres_server.removesuffix('/postgres')}/{name}"

    return create


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _hand_over(folder: Path) -> None:
    """PostgreSQL refuses to run as root: there it runs as its own user."""
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")


def _as_server(*command: object) -> None:
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    words = [*prefix, *(str(word) for word in command)]
    done = subprocess.run(
        words, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.decode(errors='replace')}")
