"""Connections that are kept for single statements: whose they are, how many, and of which file."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from mripacs.core.errors import StoreError
from mripacs.core.model import Level, Match, Query
from mripacs.store import Store
from mripacs.store.idle_connections import KEPT, IdleConnections
from tests.store.examples import new_instance

SERIES = Query(Level.SERIES, (Match("StudyInstanceUID", "single", ("1.1",)),), ("SeriesInstanceUID",))


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'mripacs.db'}") as opened:
        opened.add(new_instance("1.1.1.1", "1.1.1", "1.1"))
        yield opened


@pytest.fixture
def idle(store):
    made = IdleConnections(store._engine)
    yield made
    made.close()


def is_open(driver):
    try:
        driver.execute("SELECT 1").fetchone()
    except sqlite3.ProgrammingError:
        return False
    return True


def driver_of(held):
    return held.connection.dbapi_connection


def test_who_takes_one_has_it_alone(idle):
    first, second = idle.take(), idle.take()
    assert driver_of(first) is not driver_of(second)
    idle.give(first)
    assert idle.take() is first
    idle.give(second)
    idle.give(first)


def test_few_are_kept(idle):
    taken = [idle.take() for _ in range(KEPT + 2)]
    drivers = [driver_of(held) for held in taken]
    for held in taken:
        idle.give(held)
    assert [is_open(driver) for driver in drivers] == [True] * KEPT + [False] * 2


def test_they_are_outside_the_pool(store, idle):
    before = store._engine.pool.checkedout()
    held = idle.take()
    assert store._engine.pool.checkedout() == before
    idle.give(held)


def test_another_file_takes_the_connections_with_it(idle, tmp_path):
    held = idle.take()
    driver = driver_of(held)
    idle.give(held)
    file = tmp_path / "mripacs.db"
    file.rename(tmp_path / "away.db")
    file.write_bytes((tmp_path / "away.db").read_bytes())
    other = idle.take()
    assert other is not held
    assert not is_open(driver)
    assert is_open(driver_of(other))
    idle.give(other)


def test_a_relative_path_is_that_of_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite:///mripacs.db") as store:
        idle = IdleConnections(store._engine)
        monkeypatch.chdir(tmp_path.parent)
        held = idle.take()
        assert held.file is not None
        idle.give(held)
        idle.close()


def test_what_is_given_back_after_the_end_is_closed(idle):
    held, waiting = idle.take(), idle.take()
    drivers = [driver_of(waiting), driver_of(held)]
    idle.give(waiting)
    idle.close()
    assert [is_open(driver) for driver in drivers] == [False, True]
    idle.give(held)
    assert not is_open(drivers[1])


def test_a_question_that_fails_leaves_no_connection_behind(store, tmp_path):
    assert len(list(store.query(SERIES))) == 1
    connections = store._keyed._connections
    [held] = connections._idle
    driver_of(held).close()  # as one that the driver lost
    with pytest.raises(StoreError):
        list(store.query(SERIES))
    assert not connections._idle
    assert len(list(store.query(SERIES))) == 1


def test_the_end_of_the_store_closes_them(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'mripacs.db'}") as store:
        assert not list(store.query(SERIES))
        driver = driver_of(*store._keyed._connections._idle)
    assert not is_open(driver)


def test_threads_that_ask_at_once_get_their_own_rows(store):
    for study in range(2, 12):
        store.add(new_instance(f"1.{study}.1.1", f"1.{study}.1", f"1.{study}"))

    def ask(study):
        query = Query(Level.SERIES, (Match("StudyInstanceUID", "single", (f"1.{study}",)),), ("SeriesInstanceUID",))
        return [row["SeriesInstanceUID"] for row in store.query(query)] == [f"1.{study}.1"]

    with ThreadPoolExecutor(12) as threads:
        assert all(threads.map(ask, [1 + number % 11 for number in range(2000)]))
    assert len(store._keyed._connections._idle) <= KEPT
