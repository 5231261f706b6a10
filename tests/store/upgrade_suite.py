"""Databases of earlier versions: what is in them is the same after the upgrade, and can still be proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import JSON, MetaData, text

from mripacs.core.errors import SchemaError
from mripacs.core.model import InstanceSelection, Level, Match, Query, Tier
from mripacs.store import Store, migrate
from mripacs.store.engine import WRITES, open_engine, parse_url, prepare_file
from mripacs.store.migrate import check, current, upgrade
from mripacs.store.revision import HEAD
from tests.store.examples import certificate, new_instance

# What the version before revision 0006 wrote for HEADERS: every table's rows, blobs in hexadecimal.
OLD_ROWS = json.loads(Path(__file__).with_name("rows_of_0005.json").read_text(encoding="utf-8"))
HEADERS = {number: b"header %d of a series " % number * 30 for number in (1, 2, 3)}
TIERS = {1: Tier.KWAVELET, 2: Tier.LOSSLESS, 3: Tier.VERBATIM}


def migrated(url: str, way: Any, revision: str) -> None:
    """Take the database to a revision: `way` is command.upgrade or command.downgrade."""
    engine = open_engine(parse_url(url), foreign_keys=False)
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        way(migrate._config(connection), revision)
    engine.dispose()


def old_database(url: str, revision: str) -> None:
    """Make an empty database what the version of that revision left, three instances and all."""
    prepare_file(parse_url(url))
    migrated(url, command.upgrade, revision)
    engine = open_engine(parse_url(url))
    tables = MetaData()
    tables.reflect(engine)
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        for name, rows in OLD_ROWS.items():
            columns = tables.tables[name].c
            values = [{key: as_stored(columns[key].type, value) for key, value in row.items()} for row in rows]
            connection.execute(tables.tables[name].insert(), values)
            if connection.dialect.name == "postgresql" and "id" in columns:
                connection.execute(text(f"SELECT setval('{name}_id_seq', 100)"))
    engine.dispose()


def as_stored(kind: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return json.loads(value) if isinstance(kind, JSON) else value


def require_old_instances(store: Store) -> None:
    assert store.check_references() == []
    for number, header in HEADERS.items():
        assert store.verify_bytes(f"1.{number}") == []
        found = store.load(f"1.{number}")
        assert found.header == header
        assert found.identity.certificate == certificate(header, TIERS[number])


class UpgradeSuite:
    """`empty_url` names a database that is not there yet."""

    @pytest.mark.parametrize("revision", ["0001", "0004", "0005"])
    def test_what_was_there_is_the_same(self, empty_url: str, revision: str) -> None:
        old_database(empty_url, revision)
        with pytest.raises(SchemaError, match="mripacs admin db upgrade"):
            Store.open(empty_url)
        assert current(empty_url) == revision
        assert upgrade(empty_url) == HEAD
        assert check(empty_url) == []
        with Store.open(empty_url) as store:
            require_old_instances(store)
            name = Match("PatientName", "wildcard", ("山田*",), fold_case=True)
            rows = list(store.query(Query(Level.IMAGE, (name,), ("SOPInstanceUID", "Rows"))))
            assert rows == [{"SOPInstanceUID": uid, "Rows": 256} for uid in ("2.25.77", "1.2", "1.3")]
            days = store.growth(0, "9").settled
            assert sum(day.received_pixel_bytes for day in days) == 2000

    def test_new_instances_stand_beside_old_ones(self, empty_url: str) -> None:
        old_database(empty_url, "0005")
        upgrade(empty_url)
        with Store.open(empty_url) as store:
            store.add(new_instance("1.9", "1.2.3"))
            assert store.replace_payload("1.1", b"payload", b"smaller")
            require_first_payload(store, "1.1", len(b"payload"))
            assert store.verify_bytes("1.1") == store.verify_bytes("1.9") == store.check_references() == []
            store.delete(InstanceSelection(series_uids=("1.2.3",)))
            assert list(store.iterate_uids()) == store.check_references() == []

    def test_there_is_a_way_back_as_long_as_nothing_came_since(self, empty_url: str) -> None:
        old_database(empty_url, "0005")
        upgrade(empty_url)
        migrated(empty_url, command.downgrade, "0005")
        upgrade(empty_url)
        with Store.open(empty_url) as store:
            require_old_instances(store)
            store.add(new_instance("1.9", "1.2.3"))
        with pytest.raises(RuntimeError, match="1 instances"):
            migrated(empty_url, command.downgrade, "0005")

    def test_a_damaged_certificate_does_not_stop_it_and_is_still_found(self, empty_url: str) -> None:
        old_database(empty_url, "0005")
        engine = open_engine(parse_url(empty_url))
        damage = '\'{"rule":"MR\' WHERE id = 1' if engine.dialect.name == "sqlite" else "'{}' WHERE id = 1"
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            connection.execute(text(f"UPDATE instance SET certificate = {damage}"))  # noqa: S608
        engine.dispose()
        upgrade(empty_url)
        with Store.open(empty_url) as store:
            assert {finding.sop_instance_uid for finding in store.verify_bytes("1.1")} == {"2.25.77"}
            assert store.verify_bytes("1.2") == store.verify_bytes("1.3") == []


def require_first_payload(store: Store, uid: str, expected: int) -> None:
    assert store.identify(uid).certificate.first_payload_bytes == expected
