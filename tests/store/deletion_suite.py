"""Deletion on every database: what goes, what stays, and what happens to those who read and add meanwhile."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from mripacs.core.errors import ConflictError, QueryError, UnknownInstanceError
from mripacs.core.model import Deletion, InstanceSelection, Level, NewInstance, Query, ReceivedFrom
from mripacs.store import Store, schema
from tests.store.examples import new_instance

WHO = ReceivedFrom("admin delete", peer="user somebody")
TABLES = ("study", "series", "instance", "instance_uid", "header", "payload", "header_reference")
COUNTS = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")


def of(**uids: str) -> InstanceSelection:
    names = {"study": "study_uids", "series": "series_uids", "instance": "sop_instance_uids"}
    return InstanceSelection(**{names[name]: (uid,) for name, uid in uids.items()})


def rows(store: Store) -> dict[str, int]:
    """Rows in each table."""
    with store._engine.connect() as connection:
        tables = schema.metadata.tables
        return {
            name: connection.execute(select(func.count()).select_from(tables[name])).scalar_one() for name in TABLES
        }


def long_header(series: object, number: object) -> bytes:
    """Headers of one series pack well against each other."""
    return b"".join(f"{series} {line}".encode() for line in range(600)) + f"instance {number}".encode()


def sent(uid: str, series: str, study: str, modality: str = "MR") -> NewInstance:
    header = long_header(series, uid)
    return new_instance(uid, series, study, served=f"2.25.{uid}", header=header, of_series={"Modality": modality})


def assert_whole(store: Store) -> None:
    """Nothing disagrees, and every instance can be read."""
    assert store.check_references() == []
    for uid in store.iterate_uids():
        assert store.verify_bytes(uid) == []


class DeletionSuite:
    """Everything about `Store.delete`."""

    @pytest.fixture
    def filled(self, store: Store) -> Store:
        """Studies 1 (series 5 with three instances, 6 with one) and 2 (series 5 with one)."""
        for uid, series, study, modality in (
            ("1.1", "5", "1", "MR"), ("1.2", "5", "1", "MR"), ("1.3", "5", "1", "MR"),
            ("1.4", "6", "1", "SR"), ("2.1", "5", "2", "MR"),
        ):  # fmt: skip
            store.add(sent(uid, series, study, modality))
        return store

    @pytest.mark.parametrize("uid", ["1.2", "2.25.1.2"])
    def test_an_instance_by_either_uid(self, filled: Store, uid: str) -> None:
        header_bytes = filled.identify("1.2").header_bytes
        deletion = filled.delete(of(instance=uid), source=WHO)
        assert deletion == Deletion(("2.25.1.2",), 0, 0, len(b"payload"), header_bytes, 0)
        assert filled.identify("1.2") is filled.identify("2.25.1.2") is None
        assert rows(filled)["instance"] == rows(filled)["header"] == rows(filled)["payload"] == 4
        (row,) = filled.query(Query(Level.STUDY, (), (*COUNTS, "StudyInstanceUID"), limit=1))
        assert row == {
            "StudyInstanceUID": "1", "ModalitiesInStudy": "MR\\SR",
            "NumberOfStudyRelatedSeries": 2, "NumberOfStudyRelatedInstances": 3,
        }  # fmt: skip
        assert_whole(filled)

    def test_a_reference_stays_while_a_header_needs_it(self, filled: Store) -> None:
        before = rows(filled)["header_reference"]
        assert filled.delete(of(instance="1.1")).reference_bytes == 0  # what the reference was made of
        assert filled.load("1.3").header == long_header("5", "1.3")
        filled.delete(of(instance="1.2"))
        assert rows(filled)["header_reference"] == before
        last = filled.delete(of(instance="1.3"))
        assert last.reference_bytes > 0
        assert last.series == 1
        assert rows(filled)["header_reference"] == before - 1
        assert_whole(filled)

    def test_an_emptied_series_changes_the_study(self, filled: Store) -> None:
        assert filled.delete(of(series="6")).series == 1
        (row,) = filled.query(Query(Level.STUDY, (), COUNTS, limit=1))
        assert set(row.values()) == {"MR", 1, 3}
        assert_whole(filled)

    def test_a_series_in_two_studies(self, filled: Store) -> None:
        assert filled.delete(of(series="5", study="2")).sop_instance_uids == ("2.25.2.1",)
        deletion = filled.delete(of(series="5"))
        assert (len(deletion.sop_instance_uids), deletion.series, deletion.studies) == (3, 1, 0)
        assert_whole(filled)

    def test_a_study_leaves_nothing(self, filled: Store) -> None:
        deletion = filled.delete(of(study="1"))
        assert (len(deletion.sop_instance_uids), deletion.series, deletion.studies) == (4, 2, 1)
        filled.delete(of(study="2"))
        assert set(rows(filled).values()) == {0}
        assert filled.statistics().instances == filled.statistics().reference_bytes == 0
        filled.add(sent("1.1", "5", "1"))
        assert_whole(filled)

    def test_a_dry_run_says_the_same_and_changes_nothing(self, filled: Store) -> None:
        before = rows(filled)
        planned = filled.delete(of(study="1"), dry_run=True)
        assert rows(filled) == before
        assert planned == filled.delete(of(study="1"))
        assert planned.freed_bytes == planned.payload_bytes + planned.header_bytes + planned.reference_bytes > 0

    def test_what_cannot_be_deleted(self, filled: Store) -> None:
        before = rows(filled)
        for unknown in (of(study="9"), of(study="2", series="6"), of(instance="9")):
            with pytest.raises(UnknownInstanceError):
                filled.delete(unknown)
        with pytest.raises(QueryError):
            filled.delete(InstanceSelection())
        assert rows(filled) == before

    def test_the_audit_trail_tells_who_and_what(self, filled: Store) -> None:
        digest = filled.identify("1.4").certificate.received_digest
        deletion = filled.delete(of(series="6"), source=WHO)
        with filled._engine.connect() as connection:
            events = select(schema.event).where(schema.event.c.door == WHO.door).order_by(schema.event.c.id)
            found = connection.execute(events).mappings().all()
        assert [(row["kind"], row["uid"], row["peer"]) for row in found] == [
            ("delete", "6", WHO.peer),
            ("delete instance", "2.25.1.4", WHO.peer),
        ]
        assert found[0]["detail"] == f"1 instances, 1 series, 0 studies, {deletion.freed_bytes} bytes"
        assert digest in found[1]["detail"]

    def test_what_was_stored_stays_told(self, filled: Store) -> None:
        """The view of the whole trail says the same of a storage before and after its instance has gone."""
        words = "time, kind, door, calling_ae, called_ae, peer, uid, outcome, detail"
        storages = text(f"SELECT {words} FROM audit WHERE kind = 'store' ORDER BY time, uid")  # noqa: S608 - ours
        with filled._engine.connect() as connection:
            before = connection.execute(storages).all()
        assert ("store", "2.25.1.4", "stored", "kwavelet") in [(row[1], *row[6:]) for row in before]
        filled.delete(of(series="6"), source=WHO)
        with filled._engine.connect() as connection:
            assert connection.execute(storages).all() == before

    def test_a_row_number_of_a_reference_never_returns(self, store: Store) -> None:
        """A header packed against a reference that was deleted must not find another one in its place."""
        store.add(sent("1.1", "5", "1"))
        numbers = select(schema.header_reference.c.id)
        with store._engine.connect() as connection:
            first = connection.execute(numbers).scalar_one()
        store.delete(of(instance="1.1"))
        store.add(sent("1.2", "6", "1"))
        with store._engine.connect() as connection:
            assert connection.execute(numbers).scalar_one() > first

    def test_an_instance_under_way_survives_the_deletion_of_its_series(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The series goes after the newcomer's header was packed against its reference and before it is written."""
        store.add(sent("1.1", "5", "1"))
        packed, deletions = store._packed, []

        def delete_after_packing(new: NewInstance) -> object:
            header = packed(new)
            if not deletions:
                deletions.append(store.delete(of(series="5")))
            return header

        monkeypatch.setattr(store, "_packed", delete_after_packing)
        store.add(sent("1.2", "5", "1"))
        assert deletions[0].sop_instance_uids == ("2.25.1.1",)
        assert store.load("1.2").header == long_header("5", "1.2")
        assert list(store.iterate_uids()) == ["2.25.1.2"]
        assert_whole(store)

    def test_threads_add_read_and_delete(self, store: Store, url: str) -> None:
        """Four add to two series of a study, two delete instances and whole series, two read: two nodes in all."""
        barrier, ended = threading.Barrier(8), threading.Event()
        added: list[set[str]] = [set() for _ in range(4)]
        deleted: list[set[str]] = [set() for _ in range(2)]
        reads = [0, 0]

        def add(thread: int, node: Store) -> None:
            barrier.wait()
            for number in range(25):
                uid = f"1.{thread}.{number}"
                node.add(sent(uid, f"5.{number % 2}", "4"))
                added[thread].add(f"2.25.{uid}")

        def remove(thread: int, node: Store) -> None:
            chance = random.Random(thread)  # noqa: S311 - of a test
            barrier.wait()
            while not ended.is_set():
                uids = list(node.iterate_uids())
                one = of(instance=chance.choice(uids)) if uids else of(series="5.0")
                try:
                    chosen = of(series=chance.choice(["5.0", "5.1"])) if chance.random() < 0.2 else one
                    deleted[thread].update(node.delete(chosen).sop_instance_uids)
                except UnknownInstanceError:
                    continue

        def read(thread: int, node: Store) -> None:
            barrier.wait()
            while not ended.is_set():
                for uid in list(node.iterate_uids()):
                    try:  # a DamagedInstanceError would end the thread
                        assert node.load(uid).header == long_header(
                            node.load(uid).identity.series_instance_uid, uid.removeprefix("2.25.")
                        )
                        reads[thread] += 1
                    except UnknownInstanceError:
                        continue
                assert node.check_references() == []

        with Store.open(url) as other, ThreadPoolExecutor(8) as threads:
            adders = [threads.submit(add, thread, (store, other)[thread % 2]) for thread in range(4)]
            others = [threads.submit(remove, thread, (store, other)[thread]) for thread in range(2)]
            others += [threads.submit(read, thread, (store, other)[thread]) for thread in range(2)]
            try:
                for adder in adders:
                    adder.result(timeout=120)
            finally:
                ended.set()
            for future in others:
                future.result(timeout=120)
        assert not deleted[0] & deleted[1]
        assert set().union(*added) - set().union(*deleted) == set(store.iterate_uids())
        assert deleted[0]
        assert min(reads) > 0
        assert_whole(store)

    def test_threads_delete_the_same_study(self, store: Store) -> None:
        for number in range(10):
            store.add(sent(f"1.{number}", f"5.{number % 3}", "4"))
        barrier = threading.Barrier(6)

        def remove(_: int) -> int:
            barrier.wait()
            try:
                return len(store.delete(of(study="4")).sop_instance_uids)
            except UnknownInstanceError:
                return 0

        with ThreadPoolExecutor(6) as threads:
            assert sorted(threads.map(remove, range(6))) == [0, 0, 0, 0, 0, 10]
        assert set(rows(store).values()) == {0}

    def test_a_uid_may_come_again_while_it_goes(self, store: Store) -> None:
        """One UID, three that add it in different studies, three that delete it: no deadlock, and at most one stays."""
        barrier = threading.Barrier(6)

        def run(thread: int) -> int:
            barrier.wait()
            change = 0
            for number in range(15):
                try:
                    if thread % 2:
                        change -= len(store.delete(of(instance="1.1")).sop_instance_uids)
                    else:
                        store.add(sent("1.1", "5", f"4.{(thread + number) % 3}"))
                        change += 1
                except (ConflictError, UnknownInstanceError):
                    continue
            return change

        with ThreadPoolExecutor(6) as threads:
            assert sum(threads.map(run, range(6))) == store.statistics().instances <= 1
        assert_whole(store)
