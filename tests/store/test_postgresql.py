"""The suite on PostgreSQL, and what only a server does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text

from mripacs.core.errors import SettingsError, StoreUnavailableError
from mripacs.core.model import InstanceSelection
from mripacs.store import Store, locks
from mripacs.store.backup import backup
from tests.store.backup_suite import BackupSuite
from tests.store.commitment_suite import CommitmentSuite
from tests.store.conflict_suite import ConflictSuite
from tests.store.deletion_suite import DeletionSuite
from tests.store.examples import new_instance
from tests.store.fixity_suite import FixitySuite
from tests.store.name_suite import NameSuite
from tests.store.query_suite import QuerySuite
from tests.store.reference_suite import ReferenceSuite
from tests.store.repacking_suite import RepackingSuite
from tests.store.suite import StoreSuite
from tests.store.upgrade_suite import UpgradeSuite


@pytest.fixture(scope="module")
def without_instances(new_postgres_database: Callable[..., str]) -> str:
    """A database with this version's tables and nothing in them, to be copied."""
    url = new_postgres_database()
    Store.open(url).close()
    return url


def keys_locked(store: Store, lock: Callable[..., None], studies: list[str]) -> list[int]:
    keys: list[int] = []

    def notice(_connection: object, _cursor: object, _sql: str, parameters: dict[str, int], *_: object) -> None:
        keys.append(parameters["key"])

    with store._engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", notice)
        lock(connection, studies)
    assert len(keys) == len(studies)
    return keys


class TestPostgresql(
    StoreSuite,
    DeletionSuite,
    ConflictSuite,
    FixitySuite,
    BackupSuite,
    CommitmentSuite,
    RepackingSuite,
    UpgradeSuite,
    NameSuite,
    ReferenceSuite,
):
    @pytest.fixture
    def empty_url(self, new_postgres_database: Callable[..., str]) -> str:
        return new_postgres_database()

    @pytest.fixture
    def url(self, new_postgres_database: Callable[..., str], without_instances: str) -> str:
        return new_postgres_database(of=without_instances)

    def test_who_adds_and_who_deletes_lock_studies_in_one_order(self, store: Store) -> None:
        studies = [f"1.2.{number}" for number in range(20)]
        for asked in (studies, studies[::-1]):
            assert keys_locked(store, locks.share_studies, asked) == keys_locked(store, locks.own_studies, studies)

    def test_commits_are_synchronous(self, store: Store) -> None:
        with store._engine.connect() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
            assert connection.execute(text("SHOW cursor_tuple_fraction")).scalar() == "1"

    def test_read_only_database(self, url: str) -> None:
        Store.open(url).close()
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            name = connection.execute(text("SELECT current_database()")).scalar_one()
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        engine.dispose()
        with Store.open(url) as store, pytest.raises(StoreUnavailableError, match="read-only"):
            store.add(new_instance())

    def test_deleted_rows_leave_no_dead_ones(self, store: Store) -> None:
        for number in range(20):
            store.add(new_instance(f"1.{number}", payload=hashlib.shake_256(b"%d" % number).digest(100_000)))
        size = text("SELECT pg_total_relation_size('payload')")
        with store._engine.connect() as connection:
            before = connection.execute(size).scalar_one()
        store.delete(InstanceSelection(study_uids=("1.2",)))
        store.vacuum()
        with store._engine.connect() as connection:
            assert connection.execute(size).scalar_one() < before / 10

    def test_lost_connections_are_replaced(self, store: Store, url: str) -> None:
        store.add(new_instance("1.1"))
        engine = create_engine(url)
        others = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        with engine.connect() as connection:
            assert connection.execute(others).scalars().all() == [True]
        engine.dispose()
        store.add(new_instance("1.2"))
        assert store.identify("1.2")

    @pytest.fixture(autouse=True)
    def _client_programs(self, monkeypatch: pytest.MonkeyPatch, require_program: Callable[[str], Path]) -> None:
        """pg_dump of the server's version, which Debian keeps beside it."""
        monkeypatch.setenv("PATH", f"{require_program('initdb').parent}:{os.environ['PATH']}")

    def test_backup_without_the_client_programs(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SettingsError, match="pg_dump is not on the PATH"):
            backup(url, tmp_path / "backup")
        assert list(tmp_path.iterdir()) == []

    def test_no_server_and_no_database(self, url: str) -> None:
        with pytest.raises(StoreUnavailableError):
            Store.open("postgresql+psycopg://nobody@127.0.0.1:1/none")
        with pytest.raises(StoreUnavailableError):
            Store.open(f"{url}_missing")


class TestQueriesPostgresql(QuerySuite):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, new_postgres_database: Callable[..., str]) -> str:
        return new_postgres_database()
