"""Questions by UIDs that the driver answers itself, beside the usual way."""

from __future__ import annotations

import itertools
import sqlite3
import time
from dataclasses import replace

import pytest

from mripacs.core.errors import QueryError, StoreError, StoreUnavailableError
from mripacs.core.model import Level, Match, Query
from mripacs.store import Store, queries
from mripacs.store.keys import COMPUTED, KEYS
from tests.store.examples import new_instance

KEYWORDS = tuple(dict.fromkeys([*KEYS, *COMPUTED, "NoSuchKeyword"]))


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Two studies of two series of three instances: 1.<study>.<series>.<instance>, served under 9.1...."""
    where = f"sqlite:///{tmp_path_factory.mktemp('keyed') / 'mripacs.db'}"
    with Store.open(where) as opened:
        for study, series, number in itertools.product((1, 2), (1, 2), (3, 2, 1)):
            uid = f"1.{study}.{series}"
            new = new_instance(
                f"{uid}.{number}",
                uid,
                f"1.{study}",
                served=f"9.{uid}.{number}",
                patient={"PatientID": f"P{study}", "PatientName": "Doe^J"},
                of_study={"StudyDate": "20200101"},
                of_series={"Modality": "MR", "SeriesNumber": series},
                of_instance={"InstanceNumber": number, "EchoTime": "4.6"} if number > 1 else {},
            )
            opened.add(new)
    return where


@pytest.fixture
def store(url):
    with Store.open(url) as opened:
        yield opened


def single(keyword, uid):
    return Match(keyword, "single", (uid,))


STUDY, SERIES, SERVED, ORIGINAL = (
    single("StudyInstanceUID", "1.1"),
    single("SeriesInstanceUID", "1.1.2"),
    single("SOPInstanceUID", "9.1.1.2.3"),
    single("SOPInstanceUID", "1.1.2.3"),
)
MATCHES = [(STUDY,), (SERIES,), (STUDY, SERIES), (SERIES, STUDY), (STUDY, SERIES, SERVED), (ORIGINAL,)]
MATCHES += [(single("StudyInstanceUID", "1.77"),), (STUDY, single("SeriesInstanceUID", "1.1"))]


UID_LEVELS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


def usually(store, query):
    with store._reading() as connection:
        return list(queries.rows(connection, query, queries.build(query, "sqlite")))


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(
    ("limit", "offset", "newest_first"), [(None, 0, False), (2, 0, False), (0, 0, False), (1, 1, True)]
)
def test_the_same_rows(store, level, limit, offset, newest_first):
    for matches in MATCHES:
        query = Query(level, matches, KEYWORDS, limit, offset, newest_first)
        expected = usually(store, query)
        for _ in range(2):
            assert list(store.query(query)) == expected
        deepest = max(UID_LEVELS.index(match.keyword) for match in matches)
        assert (store._keyed.question(query) is not None) == (deepest <= list(Level).index(level))


def test_the_shape_is_prepared_once_for_all_uids(store):
    for uid in ("1.1", "1.2", "1.3"):
        found = list(store.query(Query(Level.SERIES, (single("StudyInstanceUID", uid),), ("SeriesInstanceUID",))))
        assert [row["SeriesInstanceUID"] for row in found] == ([f"{uid}.1", f"{uid}.2"] if uid != "1.3" else [])
    assert store._keyed._shape.cache_info().currsize == 1


@pytest.mark.parametrize(
    "match",
    [
        Match("StudyInstanceUID", "list", ("1.1", "1.2")),
        Match("StudyInstanceUID", "single", ("UID 0",)),
        Match("StudyInstanceUID", "single", ("1" * 65,)),
        Match("PatientID", "single", ("1.1",)),
        Match("SeriesDescription", "single", ("1.1",), fold_case=True),
    ],
)
def test_others_are_asked_in_the_usual_way(store, match):
    for matches in ((match,), (STUDY, match), ()):
        query = Query(Level.SERIES, matches, ("SeriesInstanceUID",))
        assert store._keyed.question(query) is None
        assert list(store.query(query)) == usually(store, query)


def test_what_cannot_be_asked_is_refused_at_once(store):
    with pytest.raises(QueryError):
        store.query(Query(Level.SERIES, (STUDY,), (), limit=-1))


def test_more_rows_than_are_held_are_streamed(store, monkeypatch):
    monkeypatch.setattr(queries, "ROWS_AT_ONCE", 2)
    query = Query(Level.IMAGE, (SERIES,), ("SOPInstanceUID",))
    assert store._keyed.rows(store._keyed.question(query)) is None
    assert len(list(store.query(query))) == 3


def test_every_question_sees_what_was_stored_last_and_only_in_its_file(tmp_path):
    query = Query(Level.IMAGE, (SERIES,), ("SOPInstanceUID",))
    with Store.open(f"sqlite:///{tmp_path / 'mripacs.db'}") as store:
        assert not list(store.query(query))
        store.add(new_instance("1.1.2.4", "1.1.2", "1.1"))
        assert len(list(store.query(query))) == 1
        (tmp_path / "mripacs.db").rename(tmp_path / "away.db")
        with pytest.raises(StoreUnavailableError):
            list(store.query(query))
        (tmp_path / "away.db").rename(tmp_path / "mripacs.db")
        assert len(list(store.query(query))) == 1


def test_errors_of_the_driver_are_ours(store, monkeypatch):
    query = Query(Level.IMAGE, (SERIES,), ("SOPInstanceUID",))
    shape = store._keyed.question(query).shape
    failing = replace(shape, form=shape.form._replace(sql="SELECT * FROM nothing WHERE ? IS NOT NULL"))
    monkeypatch.setattr(store._keyed, "_shape", lambda _: failing)
    with pytest.raises(StoreError) as raised:
        list(store.query(query))
    assert isinstance(raised.value.__cause__, sqlite3.OperationalError)
    monkeypatch.undo()
    assert len(list(store.query(query))) == 3


def test_it_is_still_worth_it(store):
    """Five times as fast when this was written; when it is not twice, SQLAlchemy has mended it: drop our way."""
    query = Query(Level.SERIES, (STUDY,), ("SeriesInstanceUID",))
    assert seconds(lambda: usually(store, query)) > 2 * seconds(lambda: list(store.query(query)))


def seconds(call):
    call()
    began = time.thread_time()
    for _ in range(200):
        call()
    return time.thread_time() - began
