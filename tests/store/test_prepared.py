"""Statements that SQLite's driver runs itself give what SQLAlchemy gives, and fail as it does."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from mripacs.store.engine import open_engine, parse_url, prepare_file
from mripacs.store.prepared import Prepared
from mripacs.store.short_forms import PackedUid

METADATA = MetaData()
THING = Table(
    "thing", METADATA, Column("id", Integer, primary_key=True), Column("uid", PackedUid, unique=True),
    Column("data", LargeBinary), Column("count", Integer),
)  # fmt: skip
ADD = Prepared(
    insert(THING).values(uid=bindparam("uid"), data=bindparam("data"), count=bindparam("count")).returning(THING.c.id)
)
ONE_MORE = Prepared(update(THING).where(THING.c.uid == bindparam("which")).values(count=THING.c.count + 1))
COUNT = Prepared(select(THING.c.count, THING.c.data).where(THING.c.uid == bindparam("which")))
VALUES = {"uid": "1.2.3", "data": b"\0\xff", "count": 4}


@pytest.fixture(params=["by the driver", "watched"])
def connection(request, tmp_path):
    url = parse_url(f"sqlite:///{tmp_path}/a.db")
    prepare_file(url)
    engine = open_engine(url)
    METADATA.create_all(engine)
    if request.param == "watched":
        seen: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    with engine.connect() as made:
        yield made
    engine.dispose()
    if request.param == "watched":
        assert [each for each in seen if "thing" in each]


def test_rows_and_values_are_the_same(connection: Connection) -> None:
    assert ADD.run(connection, VALUES) == [(1,)]
    assert ONE_MORE.run(connection, {"which": "1.2.3"}) == []
    assert COUNT.run(connection, {"which": "1.2.3"}) == [(5, b"\0\xff")]
    assert connection.execute(select(THING)).one() == (1, "1.2.3", b"\0\xff", 5)


def test_it_is_part_of_the_transaction(connection: Connection) -> None:
    ADD.run(connection, VALUES)
    connection.rollback()
    assert COUNT.run(connection, {"which": "1.2.3"}) == []


def test_errors_are_sqlalchemys_and_tell_no_value(connection: Connection) -> None:
    ADD.run(connection, VALUES)
    with pytest.raises(IntegrityError) as taken:
        ADD.run(connection, VALUES)
    assert taken.value.orig.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE"
    connection.rollback()
    METADATA.drop_all(connection)
    with pytest.raises(OperationalError):
        COUNT.run(connection, {"which": "1.2.3"})


def test_no_value_is_forgotten(connection: Connection) -> None:
    ADD.run(connection, VALUES)  # so that the watched one has seen something
    with pytest.raises(Exception, match="data"):
        ADD.run(connection, {"uid": "1.2", "count": 1})


def test_it_is_still_worth_it(tmp_path) -> None:
    """Six times as fast when this was written; when it is not one and a half times, SQLAlchemy has mended it."""
    url = parse_url(f"sqlite:///{tmp_path}/a.db")
    prepare_file(url)
    engine = open_engine(url)
    METADATA.create_all(engine)
    with engine.connect() as made:
        plain = min(_cpu(lambda: made.execute(COUNT._statement, {"which": "1"}).all()) for _ in range(5))
        assert plain > 1.5 * min(_cpu(lambda: COUNT.run(made, {"which": "1"})) for _ in range(5))
    engine.dispose()


def _cpu(call) -> float:
    began = time.thread_time()
    for _ in range(200):
        call()
    return time.thread_time() - began
