"""Rows looked up by the driver itself: the same as by the usual way, at every moment, and never in anybody's way."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from mripacs.core.model import InstanceSelection
from mripacs.store import Store, reading
from tests.real_parts import REPOSITORY
from tests.store.examples import new_instance

UID = "1.2.3"
ELSEWHERE = """
import sys
from mripacs.core.model import InstanceSelection
from mripacs.store import Store
from tests.store.examples import new_instance
change, url = sys.argv[1:]
with Store.open(url) as store:
    if change == "deleted":
        store.delete(InstanceSelection(sop_instance_uids=("1.2.3",)))
    elif change == "replaced":
        store.replace(new_instance("1.2.3", header=b"another"))
    else:
        store.quarantine("1.2.3", "by a test")
"""


@pytest.fixture
def store(tmp_path):
    """A store with an instance, which was looked up before."""
    with Store.open(f"sqlite:///{tmp_path / 'mripacs.db'}") as opened:
        opened.add(new_instance(UID))
        assert opened.glance(UID) is None  # whoever asks in the usual way opens the connection
        opened.identify(UID)
        yield opened


def usual(store, uid=UID):
    """As the pool's connections say."""
    with store._reading() as connection:
        return reading.find_identity(connection, uid)


def test_it_says_what_the_usual_way_says(store):
    """By both UIDs; of none for unknown ones."""
    store.add(replace(new_instance("2.25.1"), original_sop_instance_uid="1.9"))
    assert store.glance(UID) == usual(store) == store.identify(UID)
    assert store.glance("1.9") == store.glance("2.25.1") == usual(store, "1.9")
    assert store.glance("9.9") is None


@pytest.mark.parametrize("change", ["deleted", "replaced", "quarantined"])
def test_it_sees_what_another_process_changed(store, tmp_path, change):
    """At once, as soon as that is acknowledged; nothing is remembered."""
    before = store.glance(UID)
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, change, f"sqlite:///{tmp_path / 'mripacs.db'}"], check=True, cwd=REPOSITORY
    )
    after = store.glance(UID)
    assert before is not None
    assert after != before
    assert after == usual(store)
    assert (after is None) == (change == "deleted")
    assert (after is not None and after.quarantined) == (change == "quarantined")


def test_it_holds_no_view_of_the_database(store, tmp_path):
    """Else the log could not be folded into the file while a viewer is open."""
    store.glance(UID)
    with closing(sqlite3.connect(tmp_path / "mripacs.db")) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # 1: somebody reads


def test_a_file_that_is_moved_or_replaced_is_not_read_on(store, tmp_path):
    """It knows nothing then; the usual way says what is wrong, and opens what is there later."""
    path, away = tmp_path / "mripacs.db", tmp_path / "away.db"
    path.rename(away)
    assert store.glance(UID) is None
    away.rename(path)
    assert store.glance(UID) is None  # still: nobody asked in the usual way
    assert store.identify(UID) == store.glance(UID) is not None


def test_closing_a_store_closes_it(tmp_path):
    """The last connection of the file folds the log into it: nothing is left beside it."""
    with Store.open(f"sqlite:///{tmp_path / 'mripacs.db'}") as store:
        store.add(new_instance(UID))
        store.identify(UID)
        assert store.glance(UID) is not None
    assert store.glance(UID) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mripacs.db"]


def test_a_damaged_database_is_left_to_the_usual_way(store, monkeypatch):
    """An error of the driver is no answer, and no error here."""
    failing = store._identity._form._replace(sql="select * from nothing where uid = ?")
    monkeypatch.setattr(store._identity, "_form", failing)
    assert store.glance(UID) is None
    assert store.identify(UID) == usual(store)


def test_what_is_deleted_here_is_gone(store):
    """In the same process, by another connection."""
    store.delete(InstanceSelection(sop_instance_uids=(UID,)))
    assert store.glance(UID) is None
    assert store.identify(UID) is None
