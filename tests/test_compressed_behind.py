"""Objects that are acknowledged as received: what readers see of them, and what becomes of them, on both databases."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event, func, select, update

import mripacs
from mripacs.codec import registry
from mripacs.core.errors import (
    CodecMismatchError,
    ConflictError,
    StoreError,
    StoreUnavailableError,
    UnknownInstanceError,
)
from mripacs.core.model import Disposition, Generation, InstanceSelection, ReceivedObject, Tier
from mripacs.core.settings import load_settings
from mripacs.dicom import part10
from mripacs.dicom.part10 import read_part10, write_part10
from mripacs.ingest.workers import ProcessWorkers
from mripacs.retrieve.rebuild import rebuild_with_frames
from mripacs.retrieve.recent import Recent
from mripacs.store import schema
from mripacs.store.together import Together
from tests.e2e.objects import encoded, mr_object
from tests.postgres import new_postgres_database, postgres_server
from tests.real_parts import REPOSITORY

__all__ = ["new_postgres_database", "postgres_server"]

Open = Callable[..., mripacs.Archive]


@pytest.fixture(params=["sqlite", "postgresql"])
def open_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens archives on one database, with settings of `[archive]`."""
    url = f"sqlite:///{tmp_path / 'mripacs.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgres_database")()
    opened: list[mripacs.Archive] = []

    def open_(recent: Recent | None = None, owner: str = "node", **archive: object) -> mripacs.Archive:
        settings = load_settings(flags={"archive": {"database_url": url, **archive}}, environment={})
        opened.append(mripacs.Archive.open(settings=settings, recent=recent, owner=owner))
        return opened[-1]

    yield open_
    for archive in opened:
        archive.close()


def received(**changes: object) -> ReceivedObject:
    return read_part10(encoded(mr_object(**changes)))


def series_of(count: int) -> list[ReceivedObject]:
    whole = mr_object()
    uids = {"StudyInstanceUID": whole.StudyInstanceUID, "SeriesInstanceUID": whole.SeriesInstanceUID}
    return [received(**uids, InstanceNumber=number) for number in range(1, count + 1)]


def rows(archive: mripacs.Archive, *tables: str) -> tuple[int, ...]:
    with archive._store._engine.connect() as connection:
        found = (select(func.count()).select_from(schema.metadata.tables[table]) for table in tables)
        return tuple(connection.execute(each).scalar_one() for each in found)


def damage_what_waits(archive: mripacs.Archive, uid: str) -> None:
    with archive._store._engine.begin() as connection:
        connection.execute(update(schema.waiting).where(schema.waiting.c.uid == uid).values(data=b"damaged"))


def assert_sound(archive: mripacs.Archive, count: int) -> None:
    """Everything was compressed, agrees with everything else, and can be read."""
    assert rows(archive, "waiting", "instance") == (0, count)
    assert [found for _, findings in archive.verify() for found in findings] == []
    (study,) = {
        study["NumberOfStudyRelatedInstances"] for study in archive.find("STUDY", NumberOfStudyRelatedInstances="")
    }
    assert study == count


# --- what readers see ----------------------------------------------------------------------------------------------


def test_study_and_series_count_what_waits(open_archive: Open) -> None:
    archive = open_archive()
    for item in series_of(3):
        assert archive.accept(item).disposition is Disposition.STORED
    assert rows(archive, "waiting", "instance", "instance_uid", "payload") == (3, 0, 0, 0)
    counts = {"NumberOfStudyRelatedInstances": "", "NumberOfStudyRelatedSeries": "", "ModalitiesInStudy": ""}
    assert [*archive.find("STUDY", **counts)] == [
        {"NumberOfStudyRelatedInstances": 3, "NumberOfStudyRelatedSeries": 1, "ModalitiesInStudy": "MR"}
    ]
    assert [*archive.find("SERIES", NumberOfSeriesRelatedInstances="")] == [{"NumberOfSeriesRelatedInstances": 3}]
    assert rows(archive, "waiting", "instance") == (3, 0)  # these questions are about no instance
    assert archive._store.check_references() == []


READS: dict[str, Callable[[mripacs.Archive, ReceivedObject], object]] = {
    "C-FIND or QIDO of instances": lambda archive, item: [*archive.find("IMAGE", SOPInstanceUID="")],
    "of another study's": lambda archive, item: [
        *archive.find("IMAGE", SOPInstanceUID="", StudyInstanceUID=study_of(item))
    ],
    "a selection": lambda archive, item: archive.select(InstanceSelection(study_uids=(study_of(item),))),
    "its identity": lambda archive, item: archive.identify(item.sop_instance_uid),
    "its data set": lambda archive, item: archive.fetch(item.sop_instance_uid),
    "its pixels": lambda archive, item: archive.image(item.sop_instance_uid),
    "every instance": lambda archive, item: [*archive],
    "a verification": lambda archive, item: [*archive.verify()],
    "a picture of the study": lambda archive, item: archive.middle_instance(study_of(item)),
    "a page of the study": lambda archive, item: archive.series_totals(study_of(item)),
}


def study_of(item: ReceivedObject) -> str:
    return part10.study_and_series(item, 1 << 30)[0]


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_who_reads_instances_reads_what_the_policy_makes_of_them(open_archive: Open, read: object) -> None:
    archive = open_archive()
    item = received()
    archive.accept(item)
    assert read(archive, item)  # type: ignore[operator]
    assert_sound(archive, 1)
    identity = archive.identify(item.sop_instance_uid)
    assert identity.certificate.generation is Generation.FIRST_LOSS
    assert identity.sop_instance_uid != item.sop_instance_uid


def test_a_reader_waits_only_for_its_study(open_archive: Open) -> None:
    archive = open_archive()
    mine, other = received(), received()
    for item in (mine, other):
        archive.accept(item)
    archive.select(InstanceSelection(study_uids=(study_of(mine),)))
    assert rows(archive, "waiting", "instance") == (1, 1)


def test_the_same_instance_as_if_compressed_first(open_archive: Open, tmp_path: Path) -> None:
    item = received()
    behind, first = open_archive(), mripacs.Archive.open(tmp_path / "first")
    with first:
        receipt = first.store(item)
        behind.accept(item)
        assert behind.fetch_encoded(item.sop_instance_uid) == first.fetch_encoded(item.sop_instance_uid)
        assert behind.identify(item.sop_instance_uid).certificate == receipt.certificate


def test_what_was_compressed_behind_is_at_hand_as_a_read_would_give_it(open_archive: Open) -> None:
    recent = Recent.create(1 << 24)
    archive = open_archive(recent)
    items = [*series_of(2), received(ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP"])]  # the last one without loss
    archive.compress_behind()
    for item in items:
        archive.accept(item)
    for item in items:
        identity = archive.identify(item.sop_instance_uid)
        found = recent.get(identity)
        assert found is not None
        outgoing, frames = rebuild_with_frames(archive._store.load(item.sop_instance_uid))
        assert found.outgoing == outgoing
        assert frames is not None
        assert found.frame(1) == frames[0].tobytes()


# --- what becomes of them ------------------------------------------------------------------------------------------


def test_a_running_node_compresses_what_waits_and_what_comes(open_archive: Open) -> None:
    archive = open_archive()
    items = series_of(12)
    for item in items[:6]:
        archive.accept(item)
    archive.compress_behind()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(archive.accept, items[6:]))
    archive.select(InstanceSelection())
    assert_sound(archive, 12)
    (references,) = rows(archive, "header_reference")
    assert references == 1


KILLED = """
import os, signal, sys
import mripacs
from mripacs.core.settings import load_settings
from mripacs.dicom import part10
from mripacs.dicom.part10 import read_part10, write_part10
settings = load_settings(flags={"archive": {"database_url": sys.argv[1]}}, environment={})
archive = mripacs.Archive.open(settings=settings, owner="killed")
for path in sys.argv[2:]:
    archive.accept(read_part10(open(path, "rb").read()))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_the_next_node_goes_on(open_archive: Open, tmp_path: Path) -> None:
    archive = open_archive(owner="next")
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(encoded(mr_object()))
    url = str(archive.settings.database_url)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", KILLED, url, *map(str, files)], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert rows(archive, "waiting", "instance") == (3, 0)
    archive.compress_behind()
    for file in files:
        assert archive.identify(read_part10(file.read_bytes()).sop_instance_uid).certificate.lossy
    assert rows(archive, "waiting", "instance") == (0, 3)


def test_two_nodes_make_one_instance_of_an_object(open_archive: Open) -> None:
    nodes = [open_archive(owner=f"node {number}") for number in range(2)]
    items = series_of(8)
    for item in items:
        nodes[0].accept(item)
    together = threading.Barrier(2)

    def settle(node: mripacs.Archive) -> int:
        together.wait()
        return len(node.select(InstanceSelection()))

    with ThreadPoolExecutor(2) as threads:
        assert [*threads.map(settle, nodes)] == [8, 8]
    assert_sound(nodes[0], 8)


def test_an_object_whose_derived_uid_is_taken_is_kept_without_loss(open_archive: Open, tmp_path: Path) -> None:
    item = received()
    with mripacs.Archive.open(tmp_path / "elsewhere") as elsewhere:
        elsewhere.store(item)
        derived = read_part10(write_part10(elsewhere.fetch_encoded(item.sop_instance_uid)))
    archive = open_archive()
    archive.store(derived)
    archive.accept(item)
    identity = archive.identify(item.sop_instance_uid)
    assert (identity.certificate.tier, identity.sop_instance_uid) == (Tier.LOSSLESS, item.sop_instance_uid)
    assert derived.sop_instance_uid in identity.certificate.reason
    assert hashlib.sha256(archive.fetch_encoded(item.sop_instance_uid).dataset).hexdigest() == (
        hashlib.sha256(item.dataset).hexdigest()
    )


def test_a_codec_that_fails_costs_nothing(open_archive: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise CodecMismatchError("as a test wants it")

    archive = open_archive()
    item = received()
    archive.accept(item)
    monkeypatch.setattr(type(registry.find("kwavelet")), "encode", broken)
    assert archive.fetch_encoded(item.sop_instance_uid).dataset == item.dataset
    assert "as a test wants it" in archive.identify(item.sop_instance_uid).certificate.reason


def test_what_is_damaged_before_it_was_compressed_is_told_and_stops_nobody_else(open_archive: Open) -> None:
    archive = open_archive()
    items = series_of(3)
    for item in items:
        archive.accept(item)
    damage_what_waits(archive, items[1].sop_instance_uid)
    assert len(archive.select(InstanceSelection())) == 2
    with pytest.raises(UnknownInstanceError):
        archive.fetch(items[1].sop_instance_uid)
    (finding,) = archive._store.check_references()
    assert (finding.sop_instance_uid, finding.what) == (items[1].sop_instance_uid, "waiting object")
    assert rows(archive, "waiting") == (1,)  # nothing that was acknowledged is thrown away


def test_what_cannot_be_compressed_can_be_deleted(open_archive: Open) -> None:
    archive = open_archive()
    damaged, sound = received(), received()
    for item in (damaged, sound):
        archive.accept(item)
    damage_what_waits(archive, damaged.sop_instance_uid)
    deletion = archive.delete(study=study_of(damaged))
    assert (deletion.sop_instance_uids, deletion.series, deletion.studies) == ((damaged.sop_instance_uid,), 1, 1)
    assert rows(archive, "waiting", "study", "series") == (1, 1, 1)  # the other one
    archive.identify(sound.sop_instance_uid)
    assert_sound(archive, 1)
    with pytest.raises(UnknownInstanceError):
        archive.delete(study=study_of(damaged))


def test_a_node_that_stops_changes_no_tier(open_archive: Open) -> None:
    """Codec processes that have ended are no reason to keep an object in another way."""
    archive = open_archive()
    item = received()
    archive.accept(item)
    workers = ProcessWorkers(1, _no_warm_up)
    workers.wait_until_ready()
    workers.close()
    archive._behind._coding = replace(archive._behind._coding, workers=workers)
    with pytest.raises(StoreUnavailableError, match="stopping"):
        archive.identify(item.sop_instance_uid)
    assert rows(archive, "waiting", "instance") == (1, 0)


def _no_warm_up() -> None:
    """The codec is not needed here."""


# --- who else wants its UID ----------------------------------------------------------------------------------------


def test_what_comes_again_while_it_waits_is_recognised(open_archive: Open) -> None:
    archive = open_archive()
    item = received()
    archive.accept(item)
    assert archive.accept(item).disposition is Disposition.DUPLICATE
    assert_sound(archive, 1)


@pytest.mark.parametrize("on_conflict", ["refuse", "keep", "replace"])
def test_another_object_under_a_uid_that_waits(open_archive: Open, on_conflict: str) -> None:
    archive = open_archive(on_conflict=on_conflict)
    first = mr_object()
    other = mr_object(SOPInstanceUID=first.SOPInstanceUID, PatientID="SOMEBODY-ELSE")
    archive.accept(read_part10(encoded(first)))
    if on_conflict == "refuse":
        with pytest.raises(ConflictError):
            archive.accept(read_part10(encoded(other)))
    else:
        archive.accept(read_part10(encoded(other)))
    stays = other if on_conflict == "replace" else first
    assert archive.fetch(first.SOPInstanceUID).PatientID == stays.PatientID
    assert rows(archive, "waiting", "instance") == (0, 1)


def test_an_object_that_is_stored_at_once_while_its_twin_waits(open_archive: Open) -> None:
    """The check of the one and the acknowledgement of the other may fall together: no UID names two objects."""
    archive = open_archive()
    item = received()
    together = threading.Barrier(4)

    def send(way: Callable[[ReceivedObject], object]) -> object:
        together.wait()
        return way(item)

    with ThreadPoolExecutor(4) as threads:
        answers = [*threads.map(send, [archive.accept, archive.store] * 2)]
    assert sum(answer.disposition is Disposition.STORED for answer in answers) == 1  # type: ignore[attr-defined]
    archive.identify(item.sop_instance_uid)
    assert_sound(archive, 1)


def test_a_deletion_takes_what_waits_along(open_archive: Open) -> None:
    archive = open_archive()
    mine, other = series_of(2), received()
    for item in (*mine, other):
        archive.accept(item)
    deletion = archive.delete(study=study_of(mine[0]))
    assert (len(deletion.sop_instance_uids), deletion.studies) == (2, 1)
    assert archive.identify(other.sop_instance_uid)
    assert_sound(archive, 1)


def test_a_deletion_leaves_a_series_to_what_comes_meanwhile(open_archive: Open) -> None:
    archive = open_archive()
    first, second = series_of(2)
    archive.store(first)
    archive.accept(second)
    archive._store.settler = None  # as if it came after the deletion had looked
    archive.delete(instance=first.sop_instance_uid)
    archive._store.settler = archive._behind.settle
    assert archive.identify(second.sop_instance_uid)
    assert_sound(archive, 1)


# --- back-pressure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"backlog_objects": 2}, {"backlog_bytes": 7000}, {"acknowledge": "compressed"}])
def test_without_room_an_object_is_compressed_before_it_is_acknowledged(open_archive: Open, limit: object) -> None:
    archive = open_archive(**limit)  # type: ignore[arg-type]
    items = series_of(4)
    assert 2 * len(items[0].dataset) < 7000 < 3 * len(items[0].dataset)
    for item in items:
        archive.accept(item)
    waiting, instances = rows(archive, "waiting", "instance")
    assert (waiting, instances) == ((0, 4) if "acknowledge" in limit else (2, 2))  # type: ignore[operator]
    archive.select(InstanceSelection())
    assert_sound(archive, 4)


# --- many writes in one transaction --------------------------------------------------------------------------------


def test_a_write_that_fails_fails_alone(open_archive: Open) -> None:
    store = open_archive()._store
    gathered = threading.Event()

    def slow(_: object) -> str:
        gathered.wait(10)
        return "slow"

    def fails(_: object) -> str:
        raise ValueError("mine")

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(store._together.run, slow)
        others = [threads.submit(store._together.run, write) for write in (lambda _: "well", fails, lambda _: "done")]
        gathered.set()
        assert first.result() == "slow"
        assert others[0].result() == "well"
        assert others[2].result() == "done"
        with pytest.raises(ValueError, match="mine"):
            others[1].result()


def test_writes_share_a_transaction_and_a_failing_database_fails_all_of_it() -> None:
    begun, holds, release = [], threading.Event(), threading.Event()

    class Transaction:
        def __enter__(self) -> int:
            begun.append(self)
            return len(begun)

        def __exit__(self, *_: object) -> None:
            if len(begun) == 1:
                holds.set()
                release.wait(10)
            else:
                raise StoreError("the disk is full")

    together = Together(Transaction, joins=True)  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(together.run, lambda connection: connection)
        holds.wait(10)
        others = [threads.submit(together.run, lambda connection: connection) for _ in range(5)]
        while len(together._gathered) < 5:
            pass
        release.set()
        assert first.result() == 1
        for each in others:
            with pytest.raises(StoreError, match="full"):
                each.result()
    assert len(begun) == 2


def test_receiving_is_not_slowed_by_numbers(open_archive: Open) -> None:
    """Nothing that is counted while many wait is counted row by row for each of them."""
    archive = open_archive(backlog_objects=1000)
    statements: list[str] = []
    event.listen(archive._store._engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    items = series_of(20)
    for item in items:
        archive.accept(item)
    assert np.ceil(len(statements) / 20) <= 10, statements[-10:]
