"""The database server is killed in the middle of a transfer, comes back, or turns read-only."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests import postgres, real_parts
from tests.e2e.node_process import NodeProcess, wait_until
from tests.faults.injection.sender import OUT_OF_RESOURCES, Flow, Sender, assert_whole

RESTARTS = 3
SETTINGS = postgres.SETTINGS | {"fsync": "on"}  # this one is killed


class Server:
    """A server of this test's own that can be killed and started again."""

    def __init__(self, base: Path) -> None:
        self._data, self._base = base / "data", base
        self._pg_ctl = real_parts.program("pg_ctl")
        self._port = postgres._free_port()
        initdb = real_parts.program("initdb")
        postgres._as_server(initdb, "-D", self._data, "-U", "mripacs", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.url = f"postgresql+psycopg://mripacs@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = " ".join(f"-c {name}='{value}'" for name, value in (SETTINGS | {"port": str(self._port)}).items())
        postgres._as_server(
            self._pg_ctl, "-D", self._data, "-w", "-l", self._base / "log", "-o", options, "start"
        )  # fmt: skip

    def kill(self) -> None:
        """Without a word to its clients, and without a checkpoint: the log is replayed at the next start."""
        postgres._as_server(self._pg_ctl, "-D", self._data, "-m", "immediate", "stop")

    def execute(self, *statements: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


@pytest.fixture
def server() -> Iterator[Server]:
    base = Path(tempfile.mkdtemp(prefix="mripacs-killed-postgres-"))
    postgres._hand_over(base)
    made = Server(base)
    made.start()
    yield made
    made.kill()
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def node(tmp_path: Path, server: Server) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path / "node", config=config_of(server), workers=1).start()
    yield made
    made.stop()


def config_of(server: Server) -> str:
    return f'[archive]\ndatabase_url = "{server.url}"\n'


def flags(server: Server) -> tuple[str, ...]:
    return "--database", server.url


def test_killed_and_restarted_in_the_middle_of_a_transfer(node, server):
    assert_nothing_is_lost(node, server, RESTARTS)
    assert "failed: the " in node.log


def assert_nothing_is_lost(node, server, restarts):
    for _ in range(restarts):
        with Flow(node.port) as sender:
            wait_until(lambda: len(sender.acknowledged) > 5, 60, "some successes")
            server.kill()
            wait_until(lambda: sender.refused.total() > 3, 60, "refusals")
            server.start()
            acknowledged = len(sender.acknowledged)
            wait_until(lambda: len(sender.acknowledged) > acknowledged + 3, 60, "recovery")  # noqa: B023
        assert set(sender.refused) == {OUT_OF_RESOURCES}
        sender.send_refused_again()
        assert_whole(node, sender, archive=flags(server))


def test_read_only(node, server):
    """As after a failover to a standby: the sessions that are open are told."""
    sender = Sender(node.port)
    assert sender.send(3) == [0] * 3
    server.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    wait_until(lambda: sender.send() == [OUT_OF_RESOURCES], 20, "a refusal")
    assert "the database is read-only" in node.log
    server.execute(
        "SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()",
    )  # fmt: skip
    wait_until(lambda: sender.send() == [0], 20, "recovery")
    sender.send_refused_again()
    assert_whole(node, sender, archive=flags(server))
