"""The suite on SQLite, and what only a file does."""

from __future__ import annotations

import hashlib
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event, text

from mripacs.core.errors import SettingsError, StoreError, StoreFullError, StoreUnavailableError
from mripacs.core.model import InstanceSelection
from mripacs.core.settings import load_settings
from mripacs.node import Node
from mripacs.store import Store, engine
from mripacs.store.backup import backup, restore
from mripacs.store.migrate import check, current
from tests.real_parts import REPOSITORY
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

ENDLESS_SENDER = """
import sys
from mripacs.store import Store
from tests.store.backup_suite import BackupSuite
from tests.store.conflict_suite import ConflictSuite
from tests.store.deletion_suite import DeletionSuite
from tests.store.examples import new_instance
store = Store.open(sys.argv[1])
for number in range(1_000_000):
    uid = f"1.{number}"
    store.add(new_instance(uid, f"5.{number % 3}", header=uid.encode() * 400, payload=uid.encode() * 4000))
    print(uid, flush=True)
"""


def with_pragma(store: Store, pragma: str) -> None:
    """Every connection from now on has the pragma."""
    event.listen(store._engine, "checkout", lambda connection, *_: connection.execute(f"PRAGMA {pragma}").close())


@pytest.fixture(scope="module")
def without_instances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with this version's tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "mripacs.db"
    Store.open(f"sqlite:///{path}").close()
    return path


class TestSqlite(
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
    def empty_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'archive' / 'mripacs.db'}"

    @pytest.fixture
    def url(self, tmp_path: Path, without_instances: Path) -> str:
        return f"sqlite:///{shutil.copy(without_instances, tmp_path)}"

    def test_files_are_private(self, empty_url: str, tmp_path: Path) -> None:
        with Store.open(empty_url) as store:
            store.add(new_instance())
            folder = tmp_path / "archive"
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}

    def test_another_process_does_not_delete_the_log(self, empty_url: str) -> None:
        """Whoever opens and closes a fresh archive beside its node: what is added afterwards is in the file."""
        look = (
            "import sqlite3, sys; database = sqlite3.connect(sys.argv[1]); "
            "print(*sorted(row[0] for row in database.execute(\"SELECT uid FROM audit WHERE kind = 'store'\"))); "
            "database.close()"
        )
        command = [sys.executable, "-c", look, empty_url.removeprefix("sqlite:///")]

        def seen() -> list[str]:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

        with Store.open(empty_url) as store:
            store.add(new_instance("1.1"))
            assert seen() == ["1.1"]
            store.add(new_instance("1.2"))
            assert seen() == ["1.1", "1.2"]

    def test_a_new_connection_does_not_wait_for_a_writer(self, empty_url: str) -> None:
        """A reader beyond the pool opens a connection: that must not take the writers' lock."""
        with Store.open(empty_url) as store:
            store.add(new_instance("1.1"))
            with closing(sqlite3.connect(empty_url.removeprefix("sqlite:///"), isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                start = time.monotonic()
                with Store.open(empty_url) as another:
                    assert another.identify("1.1") is not None
                assert time.monotonic() - start < 5  # BUSY_TIMEOUT_S is 15

    def test_commits_are_durable(self, store: Store) -> None:
        with store._engine.connect() as connection:
            settings = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

    @pytest.mark.parametrize("acknowledged", [1, 7, 40])
    def test_killed_sender_leaves_whole_instances(self, url: str, acknowledged: int) -> None:
        """SIGKILL between or within commits: all that was acknowledged is there, nothing else is there in part."""
        Store.open(url).close()
        command = [sys.executable, "-c", ENDLESS_SENDER, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as sender:
            uids = [sender.stdout.readline().strip() for _ in range(acknowledged)]
            sender.send_signal(signal.SIGKILL)
            uids += [line.strip() for line in sender.stdout if line.endswith("\n")]
        assert all(uids)
        assert len(uids) >= acknowledged
        with Store.open(url) as store:
            found = list(store.iterate_uids())
            assert set(uids) <= set(found)
            assert len(found) <= len(uids) + 1
            assert store.check_references() == []
            for uid in found:
                assert store.load(uid).payload == uid.encode() * 4000
                assert store.load(uid).header == uid.encode() * 400

    def test_deletion_shrinks_the_file(self, url: str, tmp_path: Path) -> None:
        with Store.open(url) as store:
            for number in range(20):
                store.add(new_instance(f"1.{number}", payload=hashlib.shake_256(b"%d" % number).digest(100_000)))
        file = tmp_path / "mripacs.db"
        assert file.stat().st_size > 2_000_000
        with Store.open(url) as store:
            store.delete(InstanceSelection(study_uids=("1.2",)))
            assert store.vacuum() == 0  # nothing is left to do
        assert file.stat().st_size < 400_000

    def test_space_that_another_process_keeps(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A lock held for longer than one waits is told as an error of ours, or logged after a deletion."""
        monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.2)
        with Store.open(url) as store, closing(sqlite3.connect(tmp_path / "mripacs.db", isolation_level=None)) as other:
            store.add(new_instance("1.1", payload=bytes(range(256)) * 4000))
            monkeypatch.setattr(Store, "free_space", lambda _: None)
            store.delete(InstanceSelection(study_uids=("1.2",)))
            monkeypatch.undo()
            other.execute("BEGIN IMMEDIATE")
            store.free_space()
            assert "locked by another process" in caplog.text
            with pytest.raises(StoreUnavailableError, match="locked by another process"):
                store.vacuum()
            other.execute("ROLLBACK")
            assert store.vacuum() > 900_000

    def test_full_database(self, url: str) -> None:
        with Store.open(url) as store:
            store.add(new_instance("1.1"))
            with_pragma(store, "max_page_count=60")
            with pytest.raises(StoreFullError):
                store.add(new_instance("1.2", payload=b"x" * 300_000))
            assert list(store.iterate_uids()) == ["1.1"]
            assert store.check_references() == []

    def test_read_only_database(self, store: Store) -> None:
        with_pragma(store, "query_only=ON")
        with pytest.raises(StoreUnavailableError, match="read-only"):
            store.add(new_instance())

    def test_a_node_scrubs_by_itself(self, url: str) -> None:
        archive = {"database_url": url, "workers": 0, "scrub_interval_hours": 1, "scrub_rate": 1000}
        flags = {"archive": archive, "dimse": {"port": 0}, "web": {"enabled": False}}
        settings = load_settings(flags=flags, environment={})
        with Store.open(url) as store, Node(settings) as node:
            deadline = time.monotonic() + 60
            while (state := store.progress("scrub")) is None or state.finished_at is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert node.archive.statistics().instances == state.checked == 0

    def test_locked_database(self, store: Store, url: str) -> None:
        with Store.open(url) as other, other._writing():
            with_pragma(store, "busy_timeout=50")
            with pytest.raises(StoreUnavailableError, match="locked"):
                store.add(new_instance())

    def test_missing_database(self, empty_url: str, tmp_path: Path) -> None:
        for use in (lambda: Store.open(empty_url, create=False), lambda: check(empty_url), lambda: current(empty_url)):
            with pytest.raises(StoreUnavailableError, match="no database"):
                use()
        assert list(tmp_path.iterdir()) == []

    def test_file_that_is_no_database(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_bytes(b"not a database" * 1000)
        with pytest.raises(StoreError, match="no SQLite database"):
            Store.open(f"sqlite:///{path}")
        assert path.read_bytes() == b"not a database" * 1000

    def test_backup_of_nothing(self, empty_url: str, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailableError, match="no database"):
            backup(empty_url, tmp_path / "backup")
        assert list(tmp_path.iterdir()) == []

    def test_a_restored_file_is_private(self, url: str, empty_url: str, tmp_path: Path) -> None:
        backup(url, tmp_path / "backup")
        restore(empty_url, tmp_path / "backup")
        (file,) = (tmp_path / "archive").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreUnavailableError):
            Store.open(f"sqlite:///{tmp_path}/file/mripacs.db")

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/x", "nonsense", ""])
    def test_other_urls(self, url: str) -> None:
        with pytest.raises(SettingsError):
            Store.open(url)


class TestQueriesSqlite(QuerySuite):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        return f"sqlite:///{tmp_path_factory.mktemp('queries') / 'mripacs.db'}"
