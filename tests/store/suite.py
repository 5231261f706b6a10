"""What every database must do; a subclass says which one it is by the fixtures `url` and `empty_url`."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text

from mripacs.core.errors import ConflictError, DamagedInstanceError, SchemaError, UnknownInstanceError
from mripacs.core.model import Certificate, InstanceSelection, Level, Query, ReceivedFrom, ReceivedObject, Tier
from mripacs.store import Store, migrate, revision, schema
from mripacs.store.engine import open_engine, parse_url
from mripacs.store.migrate import check, current, upgrade
from mripacs.store.short_forms import pack_uid
from tests.store.examples import certificate, new_instance, real_instances


class StoreSuite:
    """Round trips, identity, concurrency, audit and schema."""

    @pytest.fixture
    def store(self, url: str):
        with Store.open(url) as store:
            yield store

    def test_real_headers_come_back(self, store: Store, dev_files: list[Path]) -> None:
        news = {new.sop_instance_uid: new for new in reversed(list(real_instances(dev_files[::3])))}
        assert len(news) > 50
        for new in news.values():
            added = store.add(new)
            assert added.payload_bytes == len(new.payload or b"")
        for uid, new in news.items():
            stored = store.load(uid)
            assert stored.header == new.header
            assert stored.payload == new.payload
            assert stored.pixel_offset == new.pixel_offset
            assert stored.identity.certificate == new.certificate
            assert stored.identity.transfer_syntax == new.transfer_syntax
        assert sum(store.identify(uid).header_bytes for uid in news) < 0.1 * sum(len(n.header) for n in news.values())
        assert store.check_references() == []

    @pytest.mark.parametrize("tier", Tier)
    def test_certificate_comes_back_in_every_field(self, store: Store, tier: Tier) -> None:
        given = certificate(b"received", tier)
        store.add(dataclasses.replace(new_instance(), certificate=given))
        found = store.identify("1.2.3.4").certificate
        assert found == given
        assert {field.name for field in dataclasses.fields(Certificate)} == set(found.to_json())

    @pytest.mark.parametrize("payload", [None, b"", b"\0" * 100_000])
    def test_payloads_come_back(self, store: Store, payload: bytes | None) -> None:
        store.add(new_instance(payload=payload))
        assert store.load("1.2.3.4").payload == payload
        assert store.verify_bytes("1.2.3.4") == []
        assert store.check_references() == []

    def test_the_words_of_what_waits_are_as_those_of_what_is_stored(self, store: Store) -> None:
        """Of door, titles and address what a database refuses is left out, before compression and behind it."""
        words = ("door\0", "A\0B", "C\ud800", "\0peer")
        new = new_instance("1.2.9")
        waits = store.waiting.add(
            ReceivedObject(b"received", new.transfer_syntax, new.sop_class_uid, "1.2.9", *words), new.attributes, "node"
        )
        assert waits is not None
        found = store.waiting.load(waits[0]).received
        assert (found.source, found.calling_ae, found.called_ae, found.peer) == ("door", "AB", "C?", "peer")
        store.record("kind", source=ReceivedFrom(*words), uid="1\ud800", outcome="\0", detail="a\0b\ud800")
        with store._reading() as connection:
            (row,) = connection.execute(select(schema.event)).mappings()
        assert [row[name] for name in ("uid", "outcome", "detail", "door")] == ["1?", "", "ab?", "door"]

    def test_both_uids_find_the_instance(self, store: Store) -> None:
        added = store.add(new_instance("1.1", served="2.25.1"))
        assert store.identify("1.1") == store.identify("2.25.1") == added.identity
        assert store.load("1.1") == store.load("2.25.1")
        assert store.identify("1.1.9") is None
        assert store.aliases(["1.1", "2.25.1", "9.9"]) == {"1.1": "2.25.1"}
        with pytest.raises(UnknownInstanceError):
            store.load("9.9")

    @pytest.mark.parametrize(
        ("uid", "served"),
        [("1.1", "2.25.1"), ("1.1", "2.25.9"), ("9.9", "2.25.1"), ("2.25.1", "2.25.9"), ("9.9", "1.1"), ("1.1", None)],
    )
    def test_a_uid_names_one_instance(self, store: Store, uid: str, served: str | None) -> None:
        first = store.add(new_instance("1.1", served="2.25.1")).identity
        with pytest.raises(ConflictError):
            store.add(new_instance(uid, "7.7", "7", served=served, header=b"another"))
        assert [store.identify(each) for each in ("1.1", "2.25.1")] == [first, first]
        statistics = store.statistics()
        assert (statistics.studies, statistics.series, statistics.instances) == (1, 1, 1)
        assert store.check_references() == []

    def test_first_attributes_of_a_study_stay(self, store: Store) -> None:
        store.add(new_instance("1.1", of_study={"StudyDescription": "head"}, of_series={"SeriesNumber": 1}))
        store.add(new_instance("1.2", of_study={"StudyDescription": "knee"}, of_series={"SeriesNumber": 2}))
        keywords = ("StudyDescription", "SeriesNumber", "NumberOfStudyRelatedInstances")
        (row,) = store.query(Query(Level.SERIES, (), keywords))
        assert row == {"StudyDescription": "head", "SeriesNumber": 1, "NumberOfStudyRelatedInstances": 2}

    def test_one_series_uid_in_two_studies(self, store: Store) -> None:
        store.add(new_instance("1.1", "5", "1"))
        store.add(new_instance("1.2", "5", "2"))
        assert store.identify("1.2").study_instance_uid == "2"
        assert store.statistics().series == 2

    def test_select_is_ordered_and_restricted(self, store: Store) -> None:
        for uid, series, study, number in (
            ("1.9", "5", "1", 10), ("1.8", "5", "1", 9), ("1.7", "6", "1", 1), ("1.6", "7", "2", 1),
            ("1.5", "5", "1", ""),
        ):  # fmt: skip
            patient = {"PatientID": f"P{study}"}
            store.add(
                new_instance(
                    uid, series, study, served=f"2.25{uid[1:]}", patient=patient, of_instance={"InstanceNumber": number}
                )
            )

        def selected(**chosen: tuple[str, ...]) -> list[str]:
            return [found.original_sop_instance_uid for found in store.select(InstanceSelection(**chosen))]

        assert selected() == ["1.8", "1.9", "1.5", "1.7", "1.6"]
        assert selected(study_uids=("1",)) == ["1.8", "1.9", "1.5", "1.7"]
        assert selected(study_uids=("1", "2"), series_uids=("6", "7")) == ["1.7", "1.6"]
        assert selected(sop_instance_uids=("1.9", "2.25.6")) == ["1.9", "1.6"]
        assert selected(patient_ids=("P2",)) == ["1.6"]
        assert selected(study_uids=("9",)) == []

    def test_uids_are_paged(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mripacs.store.store.UIDS_PER_PAGE", 2)
        for number in range(5):
            store.add(new_instance(f"1.{number}", served=f"2.25.{9 - number}"))
        assert list(store.iterate_uids()) == [f"2.25.{number}" for number in range(5, 10)]
        assert list(store.iterate_uids("2.25.7")) == ["2.25.8", "2.25.9"]

    def test_text_that_no_database_takes(self, store: Store) -> None:
        odd = "a\0b\udcff\\%_'\"☃" + "x" * 5000
        store.add(new_instance(patient={"PatientID": odd, "PatientName": odd}, of_instance={"InstanceNumber": 2**70}))
        (row,) = store.query(Query(Level.IMAGE, (), ("PatientID", "InstanceNumber")))
        assert row["PatientID"] == odd.replace("\0", "").replace("\udcff", "?")
        assert row["InstanceNumber"] == 2**70

    def test_threads_interleave_series(self, store: Store) -> None:
        """Eight associations, four series of two studies: counts, modalities and references come out right."""
        barrier = threading.Barrier(8)

        def send(thread: int) -> None:
            barrier.wait()
            for number in range(12):
                series = number % 4
                modality = {"Modality": "MR" if series < 3 else "SR"}
                header = b"".join(b"%d %d" % (series, line) for line in range(3000)) + b"%d %d" % (thread, number)
                uid = f"1.{thread}.{number}"
                store.add(new_instance(uid, f"5.{series}", f"4.{series % 2}", header=header, of_series=modality))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(send, range(8)))
        keywords = (
            "ModalitiesInStudy",
            "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances",
            "StudyInstanceUID",
        )
        rows = {
            row.pop("StudyInstanceUID"): tuple(row.values()) for row in store.query(Query(Level.STUDY, (), keywords))
        }
        assert {uid: Counter(row) for uid, row in rows.items()} == {
            "4.0": Counter(["MR", 2, 48]),
            "4.1": Counter(["MR\\SR", 2, 48]),
        }
        assert store.check_references() == []
        with store._engine.connect() as connection:
            references = connection.execute(select(schema.header_reference.c.series_id)).scalars().all()
        assert sorted(Counter(references).values()) == [1, 1, 1, 1]
        assert all(store.verify_bytes(uid) == [] for uid in store.iterate_uids())

    def test_threads_race_for_one_uid(self, store: Store) -> None:
        barrier = threading.Barrier(6)

        def send(thread: int) -> bool:
            barrier.wait()
            try:
                store.add(new_instance("1.1", "5", "4", served="2.25.1", header=b"%d" % thread))
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(6) as threads:
            assert sum(threads.map(send, range(6))) == 1
        assert store.statistics().instances == 1
        assert store.check_references() == []

    def test_two_stores_share_a_database(self, store: Store, url: str) -> None:
        with Store.open(url) as other:
            store.add(new_instance("1.1", header=b"a" * 5000))
            other.add(new_instance("1.2", header=b"a" * 5000))
            assert store.load("1.2").header == other.load("1.1").header
            with store._engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM header_reference")).scalar() == 1

    def test_events(self, store: Store) -> None:
        store.add(new_instance("1.1", served="2.25.1"))
        store.record("find", source=ReceivedFrom("C-FIND", "VIEWER"), outcome="3 rows")
        with store._engine.connect() as connection:
            rows = connection.execute(text("SELECT * FROM audit ORDER BY time")).mappings().all()
        assert [(row["kind"], row["door"], row["calling_ae"], row["uid"]) for row in rows] == [
            ("store", "C-STORE", "SENDER", "2.25.1"),
            ("find", "C-FIND", "VIEWER", ""),
        ]
        assert [(row["outcome"], row["detail"]) for row in rows] == [("stored", "kwavelet"), ("3 rows", "")]
        assert rows[0]["time"] == store.identify("1.1").received_at

    def test_statistics(self, store: Store) -> None:
        assert store.statistics().instances == 0
        lossless = new_instance("1.2", "6", payload=b"12", tier=Tier.LOSSLESS, of_series={"Manufacturer": "GE"})
        store.add(new_instance("1.1", payload=b"123"))
        store.add(lossless)
        totals = store.statistics()
        assert (totals.patients, totals.studies, totals.series, totals.instances) == (1, 1, 2, 2)
        assert totals.payload_bytes == 5
        assert totals.reference_bytes > 0
        assert totals.received_bytes == sum(store.identify(uid).certificate.received_bytes for uid in ("1.1", "1.2"))
        names = {grouping: {row["name"]: row["instances"] for row in rows} for grouping, rows in totals.by.items()}
        assert names["tier"] == {"kwavelet": 1, "lossless": 1}
        assert names["manufacturer"] == {"": 1, "GE": 1}
        assert names["error"] == {"<= 0.05": 2}
        assert all(sum(row["payload_bytes"] for row in rows) == 5 for rows in totals.by.values())

    def test_schema_is_the_models(self, store: Store, url: str) -> None:
        assert check(url) == []
        assert current(url) == upgrade(url) == revision.HEAD == max(migrate.known_revisions())
        with store._engine.begin() as connection:
            connection.execute(text("DROP INDEX ix_study_study_date"))
        (difference,) = check(url)
        assert "ix_study_study_date" in difference

    def test_databases_that_are_not_ours(self, url: str) -> None:
        Store.open(url).close()
        engine = open_engine(parse_url(url))
        for other, words in (("9999", "newer"), ("", "newer")):
            with engine.begin() as connection:
                connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": other})
            with pytest.raises(SchemaError, match=words):
                Store.open(url)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE alembic_version"))
        engine.dispose()
        with pytest.raises(SchemaError, match="no mripacs archive"):
            Store.open(url)
        with pytest.raises(SchemaError, match="another application"):
            upgrade(url)

    def test_old_schema_names_the_command(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        Store.open(url).close()
        monkeypatch.setattr(revision, "HEAD", "9999")
        with pytest.raises(SchemaError, match="mripacs admin db upgrade"):
            Store.open(url)

    def test_nodes_start_at_once(self, empty_url: str) -> None:
        """An empty database opened by six at the same time: one makes the tables, the others wait."""
        barrier = threading.Barrier(6)

        def start(_: int) -> None:
            barrier.wait()
            Store.open(empty_url).close()

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(start, range(6)))
        assert check(empty_url) == []

    @pytest.mark.parametrize(
        ("table", "column", "part"),
        [
            ("payload", "data", "payload"),
            ("payload", "digest", "payload"),
            ("header", "data", "header"),
            ("header", "digest", "header"),
            ("header", "raw_digest", "header"),
            ("header_reference", "data", "header reference"),
            ("header_reference", "digest", "header reference"),
        ],
    )
    @pytest.mark.parametrize("place", [0, -1])
    def test_flipped_bytes_are_found(
        self, store: Store, url: str, table: str, column: str, part: str, place: int
    ) -> None:
        store.add(new_instance("1.1", header=b"some header " * 50 + b"1", payload=b"one"))
        store.add(new_instance("1.2", header=b"some header " * 50 + b"2", payload=b"two"))
        column = schema.metadata.tables[table].c[column]
        with store._engine.begin() as connection:
            (key,) = column.table.primary_key
            first, value = connection.execute(select(key, column).order_by(key).limit(1)).one()
            flipped = bytearray(value or b"\0")  # the digest of a header is empty since revision 0007
            flipped[place] ^= 1
            connection.execute(column.table.update().where(key == first).values({column.name: bytes(flipped)}))
        with Store.open(url) as fresh:  # without what the first store has cached
            with pytest.raises(DamagedInstanceError, match=f"its {part} "):
                fresh.load("1.1")
            assert [finding.what for finding in fresh.verify_bytes("1.1")] == [part]
            of_references = [finding.what for finding in fresh.check_references()]
            assert of_references == (["header reference"] if table == "header_reference" else [])
            if table == "header_reference":  # what comes now does not lean on it
                fresh.add(new_instance("1.3", header=b"some header " * 50 + b"3"))
                assert fresh.verify_bytes("1.3") == []
            else:
                assert fresh.verify_bytes("1.2") == []

    @pytest.mark.parametrize(
        ("statement", "part"),
        [
            ("UPDATE header SET raw_length = raw_length - 1", "header"),
            ("UPDATE header SET raw_length = 0", "header"),
            ("DELETE FROM header", "header"),
            ("DELETE FROM payload", "payload"),
            ("UPDATE instance SET certificate = '{}'", "certificate"),
            ("UPDATE instance SET tier = 'x'", "certificate"),
        ],
    )
    def test_rows_gone_wrong_are_found(self, store: Store, statement: str, part: str) -> None:
        store.add(new_instance())
        with store._engine.begin() as connection:
            connection.execute(text(statement))
        with pytest.raises(DamagedInstanceError, match=f"its {part}"):
            store.load("1.2.3.4")

    @pytest.mark.parametrize(
        ("statement", "uids"),
        [
            ("UPDATE study SET number_of_instances = 5", {"1.2"}),
            ("UPDATE study SET number_of_series = 2", {"1.2"}),
            ("UPDATE series SET number_of_instances = 0", {"1.2.3"}),
            ("DELETE FROM header", {"1.2.3.4"}),
            ("DELETE FROM payload", {"1.2.3.4"}),
            ("DELETE FROM instance_uid WHERE uid = :uid", {"1.2.3.4"}),
        ],
    )
    def test_rows_that_disagree_are_found(self, store: Store, statement: str, uids: set[str]) -> None:
        store.add(new_instance())
        assert store.check_references() == []
        with store._engine.begin() as connection:
            connection.execute(text(statement), {"uid": pack_uid("1.2.3.4")} if ":uid" in statement else {})
        findings = store.check_references()
        assert {finding.sop_instance_uid for finding in findings} == uids
        assert len(findings) == 1
