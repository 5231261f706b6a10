"""Reading ahead: in order, bounded, each instance's error its own, and nothing of what went meanwhile."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

import mripacs
from mripacs.archive import Archive
from mripacs.core.errors import (
    DamagedInstanceError,
    MripacsError,
    StoreUnavailableError,
    UnknownInstanceError,
    WorkerLostError,
)
from mripacs.core.model import InstanceIdentity
from mripacs.ingest import workers as ingest_workers
from mripacs.ingest.workers import ProcessWorkers
from mripacs.retrieve import ahead, finishing
from mripacs.retrieve.ahead import BATCH, ReadAhead
from mripacs.retrieve.fetch import Retrieve
from mripacs.retrieve.finishing import Finishing
from mripacs.retrieve.recent import Recent
from mripacs.retrieve.scrolling import BEHIND, Scrolling
from mripacs.store.short_forms import pack_uid
from tests.e2e.objects import encoded, mr_object

COUNT = 40
BATCHES = 2


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of one series."""
    folder = tmp_path_factory.mktemp("series")
    common = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    with Archive.open(folder) as archive:
        for number in range(COUNT):
            archive.store(encoded(mr_object(InstanceNumber=number + 1, **common)))
    return folder


@pytest.fixture
def archive(filled: Path) -> Iterator[Archive]:
    """That archive, opened."""
    with Archive.open(filled) as opened:
        yield opened


@pytest.fixture
def identities(archive: Archive) -> list[InstanceIdentity]:
    """Its instances, by Instance Number."""
    (first, *_) = archive
    (row,) = archive.find("SERIES", SeriesInstanceUID="")
    order = archive.series_order(first.study_instance_uid, str(row["SeriesInstanceUID"]))
    return [archive.identify(uid) for uid in order]


class Counting:
    """Runs jobs here, and knows how many instances it was given and how many jobs ran at once."""

    def __init__(self, fails: Callable[[list[str]], bool] = lambda _: False) -> None:
        self.started: list[str] = []
        self.jobs = 0
        self._fails = fails
        self.gate = threading.Event()
        self.gate.set()

    def run(self, function: Callable[[Any], Any], job: Any) -> Any:
        """As Workers.run."""
        uids = [stored.identity.sop_instance_uid for stored in job]
        self.started += uids
        self.jobs += 1
        if not self.gate.wait(30):
            pytest.fail("was not let go")
        if self._fails(uids):
            raise WorkerLostError("died, as the test wants")
        return function(job)


def reading(archive: Archive, run: Callable[..., Any], recent: Recent | None = None) -> ReadAhead:
    """A reader of its own over the archive's store."""
    finishing = Finishing(archive._store, recent or Recent(), run)
    return ReadAhead(Retrieve(finishing), ThreadPoolExecutor(BATCHES), BATCHES)


def test_all_in_order_and_the_same(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """As one by one; each is decoded once."""
    counting = Counting()
    found = [each.encoded() for each in reading(archive, counting.run).read(identities)]
    assert found == [archive.fetch_encoded(each.sop_instance_uid) for each in identities]
    assert sorted(counting.started) == sorted(each.sop_instance_uid for each in identities)
    assert counting.jobs <= COUNT / BATCH + 2, "several a job"


def test_what_is_at_hand_is_not_read_again(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """All of it, or every other one."""
    recent, counting = Recent.create(8 << 20), Counting()
    if not recent:
        pytest.skip("anonymous memory of Linux")
    first = [each.encoded() for each in reading(archive, counting.run, recent).read(identities[::2])]
    assert len(counting.started) == COUNT / 2
    everything = [each.encoded() for each in reading(archive, counting.run, recent).read(identities)]
    assert everything[::2] == first
    assert sorted(counting.started) == sorted(each.sop_instance_uid for each in identities)
    list(reading(archive, counting.run, recent).read(identities))
    assert len(counting.started) == COUNT


def test_no_more_than_a_few_ahead(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """A receiver that takes one and no more makes the node decode a few; one that goes, nothing more."""
    counting = Counting()
    reader = reading(archive, counting.run).read(identities)
    next(reader)
    time.sleep(0.3)
    assert 1 <= len(counting.started) <= 1 + BATCHES * BATCH
    reader.close()  # type: ignore[attr-defined]
    before = len(counting.started)
    time.sleep(0.3)
    assert len(counting.started) == before


def test_closing_cancels_what_has_not_begun(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """Batches that wait for a thread are never read."""
    counting = Counting()
    busy = reading(archive, counting.run)
    release = threading.Event()
    for _ in range(BATCHES):
        busy.executor.submit(release.wait, 30)
    reader = busy.read(identities)
    asking = threading.Thread(target=lambda: next(reader))
    asking.start()
    time.sleep(0.1)
    assert not counting.started
    release.set()
    asking.join()
    reader.close()  # type: ignore[attr-defined]
    busy.executor.shutdown(wait=True)
    assert len(counting.started) <= 1 + BATCHES * BATCH


def test_a_killer_harms_itself_alone(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """The job that holds it is lost; its companions are given out, it is an error."""
    killer = identities[6].sop_instance_uid
    counting = Counting(fails=lambda uids: killer in uids)
    outcomes = [each.outcome for each in reading(archive, counting.run).read(identities)]
    assert [isinstance(outcome, MripacsError) for outcome in outcomes] == [
        each.sop_instance_uid == killer for each in identities
    ]
    assert isinstance(outcomes[6], WorkerLostError)


def test_a_dead_process_is_not_met_by_the_caller(
    archive: Archive, identities: list[InstanceIdentity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real processes: whoever dies of an instance is one of them, and what was with it is given out."""
    monkeypatch.setattr(ingest_workers, "ATTEMPTS", 1)  # each starts a process
    workers = ProcessWorkers(1, _nothing)
    try:
        found = reading(archive, lambda function, job: workers.run(_die_of, (identities[1].sop_instance_uid, job)))
        outcomes = [each.outcome for each in found.read(identities[:2])]
    finally:
        workers.close()
    assert [isinstance(each, WorkerLostError) for each in outcomes] == [False, True]


def _nothing() -> None:
    """Nothing is loaded beforehand."""


def _die_of(job: tuple[str, Any]) -> Any:
    uid, stored = job
    if uid in [each.identity.sop_instance_uid for each in stored]:
        os._exit(9)
    return finishing._rebuild_many(stored)


def test_a_damaged_one_is_its_own_error(filled: Path, archive: Archive, identities: list[InstanceIdentity]) -> None:
    """In the middle of a batch, found by the digest of its payload."""
    uid = identities[3].sop_instance_uid
    with closing(sqlite3.connect(filled / "mripacs.db")) as database:
        (row,) = database.execute("select id from instance where sop_instance_uid = ?", (pack_uid(uid),)).fetchone()
        (payload,) = database.execute("select data from payload where instance_id = ?", (row,)).fetchone()
        for damaged in (bytes([payload[0] ^ 1]) + payload[1:], payload):
            database.execute("update payload set data = ? where instance_id = ?", (damaged, row))
            database.commit()
            outcomes = [each.outcome for each in reading(archive, Counting().run).read(identities[:8])]
            wrong = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, DamagedInstanceError)]
            assert wrong == ([] if damaged == payload else [3])


def test_what_went_meanwhile_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old page is looked up again: what is not there any more is not given out, though it is at hand."""
    monkeypatch.setattr(ahead, "PAGE", 2)
    monkeypatch.setattr(ahead, "FRESH_S", -1.0)
    series = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    settings = mripacs.load_settings(flags={"archive": {"directory": tmp_path}}, environment={})
    with Archive.open(settings=settings, recent=Recent.create(1 << 20)) as archive:
        for number in range(6):
            archive.store(encoded(mr_object(InstanceNumber=number, **series)))
        identities = [archive.identify(uid) for uid in archive.series_order(*series.values())]
        assert len([each.encoded() for each in archive.fetch_many(identities)]) == 6
        reader = archive.fetch_many(identities)
        assert next(reader).encoded().sop_instance_uid == identities[0].sop_instance_uid
        archive.delete(instance=identities[3].sop_instance_uid)
        archive._store.quarantine(identities[4].sop_instance_uid, "a test")
        kinds = [type(each.outcome) for each in reader]
    assert [kind for kind in kinds if issubclass(kind, MripacsError)] == [UnknownInstanceError, DamagedInstanceError]
    assert issubclass(kinds[2], UnknownInstanceError)
    assert issubclass(kinds[3], DamagedInstanceError)


def test_a_look_at_one_reads_those_behind_it(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """A bounded number of them, and those before it are not touched."""
    recent, counting = Recent.create(8 << 20), Counting()
    if not recent:
        pytest.skip("anonymous memory of Linux")
    scrolling = Scrolling(Finishing(archive._store, recent, counting.run), ThreadPoolExecutor(1))
    scrolling.look(identities[2])
    deadline = time.monotonic() + 20
    while not recent.holds(identities[2 + BEHIND]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    scrolling._executor.shutdown(wait=True)  # type: ignore[attr-defined]
    assert counting.started == [each.sop_instance_uid for each in identities[3 : 3 + BEHIND]]


def test_a_look_elsewhere_ends_the_first(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """At the next batch it goes on behind the new one."""
    recent, counting = Recent.create(8 << 20), Counting()
    if not recent:
        pytest.skip("anonymous memory of Linux")
    counting.gate.clear()
    executor = ThreadPoolExecutor(1)
    scrolling = Scrolling(Finishing(archive._store, recent, counting.run), executor)
    scrolling.look(identities[0])
    while not counting.started:
        time.sleep(0.01)
    scrolling.look(identities[-3])
    counting.gate.set()
    executor.shutdown(wait=True)
    expected = [*identities[1 : 1 + BATCH], *identities[-2:]]
    assert counting.started == [each.sop_instance_uid for each in expected]


def test_an_archive_that_closes_says_so(archive: Archive, identities: list[InstanceIdentity]) -> None:
    """No foreign error: neither for what waited for a thread nor for what none takes any more."""
    reader = reading(archive, Counting().run)
    busy = threading.Event()
    for _ in range(BATCHES):
        reader.executor.submit(busy.wait, 30)
    outcomes: list[object] = []
    waiting = threading.Thread(target=lambda: outcomes.append(next(reader.read(identities)).outcome))
    waiting.start()
    time.sleep(0.1)
    reader.executor.shutdown(wait=False, cancel_futures=True)
    waiting.join(10)
    busy.set()
    assert isinstance(outcomes[0], StoreUnavailableError)
    with pytest.raises(StoreUnavailableError):
        next(reader.read(identities))
