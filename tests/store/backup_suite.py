"""Backups while two threads write, and what comes back from them."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from mripacs.core.errors import SettingsError, StoreError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity, InstanceSelection
from mripacs.store import Store
from mripacs.store.backup import backup, restore
from mripacs.store.migrate import check
from tests.store.deletion_suite import assert_whole, long_header, rows, sent


def assert_restored(restored: Store, before: list[InstanceIdentity]) -> None:
    """All that was there before the backup began is there, and all that is there is whole."""
    assert {identity.sop_instance_uid for identity in before} <= set(restored.iterate_uids())
    assert [restored.identify(identity.original_sop_instance_uid) for identity in before] == before
    assert_whole(restored)


class BackupSuite:
    """Everything about `mripacs.store.backup`."""

    def test_a_backup_while_others_write(self, store: Store, url: str, empty_url: str, tmp_path: Path) -> None:
        """What was acknowledged before it began is in it, and all of it is whole: counts, references, digests."""
        before = [store.add(sent(f"1.{number}", f"5.{number % 3}", "4")).identity for number in range(20)]
        ended, under_way, numbers = threading.Event(), threading.Barrier(3), [0, 0]

        def write(thread: int) -> None:
            under_way.wait()
            while not ended.is_set():
                number = numbers[thread]
                uid = f"2.{thread}.{number}"
                store.add(sent(uid, f"5.{number % 3}", "4"))
                if number % 3 == 2:
                    store.delete(InstanceSelection(sop_instance_uids=(uid,)))
                numbers[thread] += 1

        with ThreadPoolExecutor(2) as threads:
            writers = [threads.submit(write, thread) for thread in range(2)]
            under_way.wait()
            try:
                while min(numbers) < 6:  # again and again, until both have written enough meanwhile
                    file = tmp_path / f"backup {sum(numbers)}"
                    file.unlink(missing_ok=True)
                    assert backup(url, file) == file.stat().st_size
                    assert not any(writer.done() for writer in writers)
            finally:
                ended.set()
            for writer in writers:
                writer.result(timeout=60)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        restore(empty_url, file)
        assert check(empty_url) == []
        with Store.open(empty_url, create=False) as restored:
            assert_restored(restored, before)
            assert restored.load("1.3").header == long_header("5.0", "1.3")
            restored.add(sent("9.9", "5.0", "4"))  # and it can be written to: row numbers go on
            assert_whole(restored)

    @pytest.mark.parametrize(
        "loss",
        [
            "DELETE FROM payload WHERE instance_id = (SELECT max(instance_id) FROM payload)",
            "UPDATE study SET number_of_instances = number_of_instances + 1",
            "UPDATE header SET reference_id = (SELECT max(id) FROM header_reference)",
        ],
    )
    def test_a_broken_backup_is_noticed(
        self, store: Store, url: str, empty_url: str, tmp_path: Path, loss: str
    ) -> None:
        """The test above can fail: a backup that lacks a row, or has rows of two moments, does not pass its check."""
        before = [store.add(sent(f"1.{number}", f"5.{number % 3}", "4")).identity for number in range(6)]
        backup(url, tmp_path / "backup")
        restore(empty_url, tmp_path / "backup")
        with Store.open(empty_url, create=False) as restored:
            assert_restored(restored, before)
            with restored._writing() as connection:
                connection.execute(text(loss))
            with pytest.raises((AssertionError, StoreError)):
                assert_restored(restored, before)

    def test_a_backup_never_overwrites(self, store: Store, url: str, tmp_path: Path) -> None:
        store.add(sent("1.1", "5", "4"))
        file = tmp_path / "backup"
        backup(url, file)
        content = file.read_bytes()
        with pytest.raises(SettingsError, match="exists already"):
            backup(url, file)
        assert file.read_bytes() == content

    def test_only_an_empty_database_is_restored_into(self, store: Store, url: str, tmp_path: Path) -> None:
        store.add(sent("1.1", "5", "4"))
        file = tmp_path / "backup"
        backup(url, file)
        store.add(sent("1.2", "5", "4"))
        before = rows(store)
        with pytest.raises(SettingsError, match="not empty"):
            restore(url, file)
        assert rows(store) == before
        store.delete(InstanceSelection(study_uids=("4",)))
        with pytest.raises(SettingsError, match="not empty"):  # its tables are there
            restore(url, file)

    @pytest.mark.parametrize("content", [b"", b"no backup" * 100])
    def test_a_file_that_is_no_backup(self, empty_url: str, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "notes"
        file.write_bytes(content)
        with pytest.raises(SettingsError, match="is no backup"):
            restore(empty_url, file)
        with pytest.raises(SettingsError, match="cannot be read"):
            restore(empty_url, tmp_path / "absent")

    def test_a_backup_cut_short_leaves_nothing(self, store: Store, url: str, empty_url: str, tmp_path: Path) -> None:
        for number in range(30):
            store.add(sent(f"1.{number}", f"5.{number}", "4"))
        file = tmp_path / "backup"
        backup(url, file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
        with pytest.raises(StoreError):
            restore(empty_url, file)
        with Store.open(empty_url) as fresh:
            with pytest.raises(UnknownInstanceError):
                fresh.load("1.1")
            assert set(rows(fresh).values()) == {0}

    def test_a_folder_that_is_not_there(self, store: Store, url: str, tmp_path: Path) -> None:
        with pytest.raises(StoreError):
            backup(url, tmp_path / "absent" / "backup")
