"""Every byte that is flipped is found, by name; what can be repaired is, and what is damaged is not given out."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    String,
    Table,
    cast,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator

from mripacs.archive import Archive
from mripacs.core.errors import ConflictError, DamagedInstanceError, MripacsError
from mripacs.core.model import Disposition, InstanceSelection, NewInstance, VerifyFinding
from mripacs.core.settings import load_settings
from mripacs.retrieve.scrub import NAME, Scrub
from mripacs.retrieve.verify import Verification
from mripacs.store import Store, schema
from mripacs.store.short_forms import pack_uid
from tests.store.conflict_suite import small_image
from tests.store.deletion_suite import long_header, rows, sent
from tests.store.examples import new_instance

FLIPS = 240  # of each database, in one run
SEED = 20240
TABLES = ("payload", "header", "header_reference", "instance", "instance_uid", "series", "study")
# Row numbers have a test of their own: foreign keys forbid most of their flips.
UNFLIPPED = {"id", "instance_id", "series_id", "study_id", "reference_id", "base_id", "origin_id"}


def full(number: int) -> NewInstance:
    """An instance with a value in nearly every column."""
    return new_instance(
        f"1.{number}",
        f"5.{number % 2}",
        "4",
        served=f"2.25.1.{number}",
        header=long_header(number % 2, number),
        payload=bytes(range(256)) * 2 + b"%d" % number,
        patient={"PatientName": "DOE^J=D=O", "PatientBirthDate": "19700101"},
        of_study={"StudyDate": "20200101", "StudyTime": "1010", "AccessionNumber": "A1", "ReferringPhysicianName": "R"},
        of_series={"Modality": "MR" if number % 2 else "SR", "SeriesNumber": number % 2},
        of_instance={"InstanceNumber": number, "ImageComments": "é☃"},
    )


def flips(chance: random.Random) -> Iterator[tuple[Table, str]]:
    """Tables and columns, blobs as often as everything else."""
    blobs = [(table, "data") for table in TABLES[:3]]
    others = [(table, name) for table in TABLES for name in schema.metadata.tables[table].c.keys()]  # noqa: SIM118
    others = [(table, name) for table, name in others if name not in UNFLIPPED and (table, name) not in blobs]
    while True:
        table, name = chance.choice(chance.choice([blobs, others]))
        yield schema.metadata.tables[table], name


def flipped(value: Any, chance: random.Random) -> Any:
    """The value with one byte changed."""
    if isinstance(value, bool | int):
        return value ^ (1 << chance.randrange(8))
    if isinstance(value, float):
        return value * 2 + 1
    if isinstance(value, bytes | memoryview):
        data = bytearray(value)
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        return bytes(data)
    return value


def stored_value(connection: Connection, table: Table, name: str, key: Any) -> Any:
    """The column as it is stored: text and JSON as bytes."""
    column = in_stored_form(table.c[name], connection)
    is_text = isinstance(column.type, String) or column.type.python_type is dict
    key_column = key_of(table, connection)
    asked = cast(column, LargeBinary if connection.dialect.name == "sqlite" else String) if is_text else column
    found = connection.execute(select(asked).where(key_column == key)).scalar_one()
    return found.encode() if isinstance(found, str) else found


def in_stored_form(column: Column[Any], connection: Connection) -> ColumnElement[Any]:
    """The column as the database has it: short forms are not read as what they stand for."""
    if not isinstance(column.type, TypeDecorator):
        return column
    return type_coerce(column, column.type.load_dialect_impl(connection.dialect))


def key_of(table: Table, connection: Connection) -> ColumnElement[Any]:
    (key,) = table.primary_key
    return in_stored_form(key, connection)


def write_value(connection: Connection, table: Table, name: str, key: Any, value: Any) -> None:
    column, (key_column,) = in_stored_form(table.c[name], connection), table.primary_key  # by name
    is_text = isinstance(column.type, String) or column.type.python_type is dict
    kind = column.type.compile(connection.dialect).split(" COLLATE")[0]
    if is_text and connection.dialect.name == "postgresql":
        value = value.decode()
    converted = f"CAST(:value AS {kind})" if connection.dialect.name == "postgresql" else "CAST(:value AS TEXT)"
    statement = f"UPDATE {table.name} SET {name} = {converted if is_text else ':value'} WHERE {key_column.name} = :key"  # noqa: S608
    connection.execute(text(statement), {"value": value, "key": key})


def all_findings(store: Store) -> list[VerifyFinding]:
    """As the command collects them, without the pixels: these payloads are made up."""
    found = [finding for _, uid in store.iterate_instances() for finding in bytes_of(store, uid)]
    return [*found, *store.check_references()]


def bytes_of(store: Store, uid: str) -> list[VerifyFinding]:
    try:
        return store.verify_bytes(uid)
    except MripacsError:
        return []  # not found by its UID: the rows tell


class FixitySuite:
    """Everything about verification, repair, quarantine and the scrub."""

    @pytest.fixture
    def plain_archive(self, url: str):
        settings = load_settings(flags={"archive": {"database_url": url}}, environment={})
        with Archive.open(settings=settings) as opened:
            yield opened

    def test_every_flipped_byte_is_found_and_named(self, store: Store) -> None:
        for number in range(6):
            store.add(full(number))
        assert all_findings(store) == []
        names = {"4", "5.0", "5.1", *store.iterate_uids(), *(f"1.{number}" for number in range(6))}
        with store._engine.connect() as connection:
            uids = [dict(row) for row in connection.execute(select(schema.instance_uid)).mappings()]
        chance = random.Random(SEED)  # noqa: S311
        tried: set[tuple[str, str]] = set()
        done = 0
        for table, name in flips(chance):
            with store._engine.connect() as connection:
                keys = connection.execute(select(key_of(table, connection))).scalars().all()
                key = chance.choice(sorted(keys))
                before = stored_value(connection, table, name, key)
            after = None if before in (None, b"") else flipped(before, chance)
            if after is None or not self.try_to_write(store, table, name, key, after):
                continue
            found = all_findings(store)
            assert names & {each.sop_instance_uid for each in found}, (
                f"{table.name}.{name} of {key}: {before!r} became {after!r}; found: {found}"
            )
            with store._writing() as connection:
                if table is schema.instance_uid:
                    connection.execute(table.delete())
                    connection.execute(table.insert(), uids)
                else:
                    write_value(connection, table, name, key, before)
            tried.add((table.name, name))
            done += 1
            if done == FLIPS:
                break
        assert {table for table, _ in tried} == set(TABLES)
        assert len(tried) > 40
        assert all_findings(store) == []

    def test_without_the_digest_of_its_row_a_flip_goes_unnoticed(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The test above can fail: with the check taken out, the same damage is not found."""
        store.add(full(1))
        with store._writing() as connection:
            connection.execute(text("UPDATE instance SET instance_number = 7"))
        assert [finding.what for finding in all_findings(store)] == ["index"]
        monkeypatch.setattr("mripacs.store.checks.instance_is_intact", lambda row: True)
        assert all_findings(store) == []

    @pytest.mark.parametrize(
        ("table", "column"),
        [
            ("payload", "instance_id"),
            ("header", "instance_id"),
            ("header", "reference_id"),
            ("header_reference", "series_id"),
            ("instance", "series_id"),
            ("series", "study_id"),
            ("instance_uid", "instance_id"),
        ],
    )
    def test_a_row_that_leads_elsewhere_is_found(self, store: Store, table: str, column: str) -> None:
        """Row numbers, flipped to those of other rows: what foreign keys do not forbid."""
        for number in range(3):
            store.add(sent(f"1.{number}", f"5.{number}", f"4.{number}"))
        names = {*store.iterate_uids(), *(f"{prefix}.{number}" for prefix in "145" for number in range(3))}
        rows_of = schema.metadata.tables[table]
        moved = rows_of.c[column]
        with store._writing() as connection:
            first, *_, last = sorted(connection.execute(select(moved)).scalars())
            if table in ("payload", "header") and column == "instance_id":
                connection.execute(rows_of.delete().where(moved == last))
            connection.execute(update(rows_of).where(moved == first).values({column: last}))
        assert names & {finding.sop_instance_uid for finding in all_findings(store)}

    @staticmethod
    def try_to_write(store: Store, table: Table, name: str, key: Any, value: Any) -> bool:
        """False where the database itself refuses the damage (PostgreSQL: text that is no UTF-8, JSON that is none)."""
        try:
            with store._engine.begin() as connection:
                write_value(connection, table, name, key, value)
        except (DBAPIError, UnicodeDecodeError, ValueError):
            return False
        return True

    def test_a_damaged_instance_is_quarantined(
        self, plain_archive: Archive, store: Store, dev_files: list[Path]
    ) -> None:
        """Found, named, kept in, listed, and healed by the original."""
        path = small_image(tuple(dev_files))
        uid = plain_archive.store(path).sop_instance_uid
        other = store.add(sent("1.1", "5", "4")).identity.sop_instance_uid
        with store._writing() as connection:
            (data,) = connection.execute(
                select(schema.payload.c.data).where(schema.payload.c.data != b"payload")
            ).scalars()
            connection.execute(
                update(schema.payload).where(schema.payload.c.data == data).values(data=data[:-1] + b"?")
            )
        walk = plain_archive.verify(repair=True)
        found = dict(walk)
        assert [finding.what for finding in found[uid]] == ["payload"]
        assert f"{uid} quarantined" in walk.repaired
        assert uid in {identity.sop_instance_uid for identity in plain_archive.quarantined()}
        with pytest.raises(DamagedInstanceError, match="quarantine"):
            plain_archive.fetch(uid)
        assert {finding.what for finding in dict(plain_archive.verify())[uid]} == {"payload", "quarantine"}
        assert plain_archive.store(path).disposition is Disposition.REPLACED
        assert plain_archive.fetch(uid).PixelData
        assert uid not in {identity.sop_instance_uid for identity in plain_archive.quarantined()}
        assert dict(plain_archive.verify())[uid] == []
        assert other in dict(plain_archive.verify())

    def test_another_object_does_not_heal(self, plain_archive: Archive, store: Store, dev_files: list[Path]) -> None:
        path = small_image(tuple(dev_files))
        uid = plain_archive.store(path).sop_instance_uid
        assert store.quarantine(uid, "payload")
        assert not store.quarantine(uid, "payload")
        with pytest.raises(ConflictError):
            plain_archive.store(path.read_bytes() + b"\xfc\xff\xfc\xff\x4f\x42\0\0\2\0\0\0\0\0")  # padding behind it

    def test_a_quarantined_instance_can_be_listed_and_deleted_without_certificate(self, store: Store) -> None:
        store.add(sent("1.1", "5", "4"))
        store.add(sent("1.2", "5", "4"))
        store.quarantine("1.1", "index")
        with store._writing() as connection:
            connection.execute(text("UPDATE instance SET certificate = '{}' WHERE state <> 'stored'"))
        assert len(store.select(InstanceSelection(study_uids=("4",)))) == 2
        (identity,) = store.quarantined()
        assert identity.certificate.received_digest == ""
        store.delete(InstanceSelection(sop_instance_uids=("1.1",)))
        assert store.quarantined() == []
        assert store.check_references() == []

    def test_damage_in_the_index_is_not_given_out(self, store: Store) -> None:
        store.add(sent("1.1", "5", "4"))
        with store._writing() as connection:
            connection.execute(text("UPDATE instance SET transfer_syntax = '1.2.840.10008.1.2'"))
        with pytest.raises(DamagedInstanceError, match="index row"):
            store.load("1.1")

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE study SET number_of_instances = 5, number_of_series = 7, modalities = 'CT'",
            "UPDATE series SET number_of_instances = 0",
            "DELETE FROM instance_uid WHERE uid = :received",
            "UPDATE instance_uid SET uid = :other WHERE uid = :served",
        ],
    )
    def test_what_follows_from_other_rows_is_repaired(self, store: Store, statement: str) -> None:
        for number in range(3):
            store.add(sent(f"1.{number}", "5", "4"))
        with store._writing() as connection:
            uids = {"received": "1.1", "other": "1.9", "served": "2.25.1.1"}
            named = {name: pack_uid(uid) for name, uid in uids.items() if f":{name}" in statement}
            connection.execute(text(statement), named)
        assert store.check_references() != []
        store.repair()
        assert all_findings(store) == []
        assert store.load("2.25.1.1") == store.load("1.1")

    def test_orphans_are_dropped(self, store: Store) -> None:
        store.add(sent("1.1", "5", "4"))
        before = rows(store)
        with store._writing() as connection:
            copy = dict(connection.execute(select(schema.study)).mappings().one())
            connection.execute(schema.study.insert(), {**copy, "id": 1000, "study_instance_uid": "8"})
            reference = dict(connection.execute(select(schema.header_reference)).mappings().one())
            connection.execute(schema.header_reference.insert(), {**reference, "id": 1000})
        assert store.repair() == [
            "1 header references that no header needs dropped",
            "1 studies without series dropped",
        ]
        assert rows(store) == before
        assert all_findings(store) == []

    def test_an_interrupted_walk_goes_on(self, store: Store) -> None:
        for number in range(10):
            store.add(sent(f"1.{number}", "5", "4"))
        with store._writing() as connection:
            damage = text("UPDATE instance SET tier = 'lossless' WHERE sop_instance_uid = :uid")
            connection.execute(damage, {"uid": pack_uid("2.25.1.1")})
        first = Verification(store)
        for uid, _ in first:
            if uid == "2.25.1.3":
                first.ended.set()
        assert first.progress.finished_at is None
        assert first.progress.checked == 4
        second = Verification(store, resume=True)
        seen = [uid for uid, _ in second]
        assert seen == [*(f"2.25.1.{number}" for number in range(4, 10)), ""]
        assert second.progress.checked == 10
        assert second.progress.finished_at
        assert "2.25.1.1" in {finding.sop_instance_uid for finding in second.progress.findings}
        assert len(list(Verification(store, resume=True))) == 11  # that one had come to its end

    def test_a_walk_that_breaks_off_can_be_resumed(self, store: Store) -> None:
        for number in range(4):
            store.add(sent(f"1.{number}", "5", "4"))
        walk = iter(Verification(store))
        next(walk)
        next(walk)
        walk.close()
        assert store.progress("verify").checked == 2
        assert store.progress("verify").finished_at is None

    def test_the_rate_is_kept(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(3):
            store.add(sent(f"1.{number}", "5", "4"))
        waited: list[float] = []
        ended = threading.Event()
        monkeypatch.setattr(ended, "wait", lambda seconds: waited.append(seconds) is not None)
        list(Verification(store, rate=0.01, ended=ended))
        assert len(waited) == 3
        assert all(90 < seconds <= 100 for seconds in waited)

    def test_the_scrub(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        """Due at first, finds, logs, records, and is due again after the interval."""
        store.add(sent("1.1", "5", "4"))
        with store._writing() as connection:
            connection.execute(schema.payload.update().values(data=b"paylaod"))
        scrub, now = Scrub(store, timedelta(hours=24), 1000), datetime.now(UTC)
        assert scrub.is_due(now)
        ended = threading.Event()
        thread = threading.Thread(target=scrub.run, args=(ended,))
        thread.start()
        while (state := store.progress(NAME)) is None or state.finished_at is None:
            assert not ended.wait(0.02)
        ended.set()
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert [finding.what for finding in store.progress(NAME).findings] == ["payload"]
        assert "2.25.1.1: payload" in caplog.text
        with store._engine.connect() as connection:
            kinds = select(schema.event.c.outcome).where(schema.event.c.kind == "scrub").order_by(schema.event.c.id)
            assert connection.execute(kinds).scalars().all() == ["payload", "finished"]
        assert not scrub.is_due(now + timedelta(hours=23))
        assert scrub.is_due(now + timedelta(hours=25))

    @pytest.mark.parametrize("finished", [True, False])
    def test_a_scrub_after_the_clock_was_set_back(self, store: Store, finished: bool) -> None:
        """What was written by a clock that was ahead, or by one that was right before, does not put it off for ever."""
        for number in range(3):
            store.add(sent(f"1.{number}", "5", "4"))
        scrub, now, ended = Scrub(store, timedelta(hours=24), 1000), datetime.now(UTC), threading.Event()
        scrub.scrub(ended)
        ahead = (now + timedelta(days=400)).isoformat(timespec="microseconds")
        state = schema.progress.update().values(updated_at=ahead, finished_at=ahead if finished else None, last_id=2)
        with store._writing() as connection:
            connection.execute(state)
        assert scrub.is_due(now)
        walked = scrub.scrub(ended)
        assert walked.checked == (3 if finished else 4)  # the one that was broken off goes on behind its row
        assert walked.finished_at is not None
        assert walked.finished_at < ahead
        assert not scrub.is_due(datetime.now(UTC) + timedelta(hours=23))
        assert scrub.is_due(datetime.now(UTC) + timedelta(hours=25))

    def test_a_scrub_under_way_elsewhere_is_left_alone(self, store: Store) -> None:
        store.add(sent("1.1", "5", "4"))
        next(iter(Verification(store, NAME)))
        scrub, now = Scrub(store, timedelta(hours=24), 1000), datetime.now(UTC)
        assert not scrub.is_due(now)
        assert scrub.is_due(now + timedelta(minutes=11))
