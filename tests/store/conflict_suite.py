"""The three conflict rules through the archive's door, alone and when eight associations bring one UID at once."""

from __future__ import annotations

import functools
import io
import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from mripacs.archive import Archive
from mripacs.core.errors import ConflictError
from mripacs.core.model import Disposition, Level, Query
from mripacs.core.settings import load_settings
from mripacs.store import Store, schema
from tests.store.deletion_suite import assert_whole

Variant = Callable[..., bytes]


@functools.cache
def small_image(paths: tuple[Path, ...]) -> Path:
    return next(path for path in paths if path.suffix == ".dcm" and is_small_image(path))


def is_small_image(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        return False
    native = not dataset.file_meta.TransferSyntaxUID.is_compressed
    return native and dataset.get("Rows", 1000) <= 128 and dataset.get("BitsAllocated") == 16


# What a test puts in its place: everything is taken for a repetition; nothing is, even of the same bytes.
BROKEN = {
    "all are repetitions": ("mripacs.ingest.receive.is_resend", lambda *_: True),
    "none is a repetition": ("mripacs.ingest.receive.is_resend", lambda *_: False),
}


class ConflictSuite:
    """Everything about `[archive] on_conflict`."""

    @pytest.fixture
    def variant(self, dev_files: list[Path]) -> Variant:
        """`variant(number)`: a real slice under one UID, of patient `number`, its pixels moved by as many rows."""
        path = small_image(tuple(dev_files))

        def make(number: int, **elements: str) -> bytes:
            dataset: Dataset = pydicom.dcmread(path)
            dataset.PixelData = np.roll(dataset.pixel_array, number, axis=0).tobytes()
            for keyword, value in {"PatientID": f"P{number}", **elements}.items():
                setattr(dataset, keyword, value)
            buffer = io.BytesIO()
            dataset.save_as(buffer)
            return buffer.getvalue()

        return make

    @pytest.fixture
    def archive(self, url: str, request: pytest.FixtureRequest):
        settings = load_settings(flags={"archive": {"database_url": url, "on_conflict": request.param}}, environment={})
        with Archive.open(settings=settings) as archive:
            yield archive

    @pytest.mark.parametrize("archive", ["refuse"], indirect=True)
    def test_refused(self, archive: Archive, variant: Variant) -> None:
        first = archive.store(variant(0))
        with pytest.raises(ConflictError, match=first.certificate.received_digest):
            archive.store(variant(1))
        assert archive.fetch(first.sop_instance_uid).PatientID == "P0"

    @pytest.mark.parametrize("archive", ["keep"], indirect=True)
    def test_kept(self, archive: Archive, variant: Variant, caplog: pytest.LogCaptureFixture) -> None:
        first = archive.store(variant(0))
        with caplog.at_level(logging.WARNING, "mripacs"):
            second = archive.store(variant(1))
        assert second.disposition is Disposition.KEPT
        assert second.certificate == first.certificate
        (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
        (event,) = events(archive, "kept")
        for said in (record.getMessage(), event):
            assert len([word for word in said.replace(",", "").split() if len(word) == 64]) == 2
            assert first.certificate.received_digest in said
        assert archive.fetch(first.sop_instance_uid).PatientID == "P0"
        assert archive.store(variant(0)).disposition is Disposition.DUPLICATE

    @pytest.mark.parametrize("archive", ["replace"], indirect=True)
    def test_replaced(self, archive: Archive, variant: Variant) -> None:
        first = archive.store(variant(0))
        second = archive.store(variant(1))
        assert second.disposition is Disposition.REPLACED
        assert archive.fetch(second.original_sop_instance_uid).PatientID == "P1"
        assert archive.statistics().instances == 1
        assert [row["PatientID"] for row in archive.find("PATIENT", PatientID="")] == ["P1"]
        (event,) = events(archive, "replaced")
        assert first.certificate.received_digest in event
        assert second.certificate.received_digest in event
        assert archive.store(variant(1)).disposition is Disposition.DUPLICATE
        assert_whole(archive._store)

    @pytest.mark.parametrize("archive", ["replace"], indirect=True)
    def test_replaced_into_another_study(self, archive: Archive, variant: Variant) -> None:
        archive.store(variant(0))
        archive.store(variant(1, SOPInstanceUID="1.2.3", StudyInstanceUID="1.2"))
        archive.store(variant(2, SOPInstanceUID="1.2.3", StudyInstanceUID="1.1"))
        counts = {
            row["StudyInstanceUID"]: row["NumberOfStudyRelatedInstances"]
            for row in archive.query(Query(Level.STUDY, (), ("StudyInstanceUID", "NumberOfStudyRelatedInstances")))
        }
        assert sorted(counts.values()) == [1, 1]
        assert "1.1" in counts
        assert "1.2" not in counts
        assert_whole(archive._store)

    @pytest.mark.parametrize("archive", ["refuse", "keep", "replace"], indirect=True)
    def test_eight_bring_one_uid(self, archive: Archive, variant: Variant) -> None:
        assert_one_wins(archive, [variant(number) for number in range(8)])

    @pytest.mark.parametrize("archive", ["refuse", "keep", "replace"], indirect=True)
    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_broken_rule_is_noticed(
        self, archive: Archive, variant: Variant, monkeypatch: pytest.MonkeyPatch, broken: str
    ) -> None:
        """The test above can fail: rules that do not hold do not pass its check."""
        monkeypatch.setattr(*BROKEN[broken])
        with pytest.raises((AssertionError, ConflictError)):
            assert_one_wins(archive, [variant(number) for number in range(8)])

    @pytest.mark.parametrize("archive", ["replace"], indirect=True)
    def test_what_was_replaced_is_told_as_a_deletion(self, archive: Archive, variant: Variant) -> None:
        first = archive.store(variant(0))
        archive.store(variant(1))
        with archive._store._engine.connect() as connection:
            event = schema.event.c
            found = connection.execute(select(event.uid, event.detail).where(event.kind == "delete instance")).all()
        assert [uid for uid, _ in found] == [first.sop_instance_uid]
        assert first.certificate.received_digest in found[0].detail

    @pytest.mark.parametrize("archive", ["replace"], indirect=True)
    def test_there_is_always_an_instance(self, archive: Archive, variant: Variant, url: str) -> None:
        """Another node reads by the UID while it is replaced again and again."""
        variants = [variant(number) for number in range(3)]
        uid = archive.store(variants[0]).original_sop_instance_uid
        ended = threading.Event()
        seen: Counter[bytes] = Counter()

        def read(other: Store) -> None:
            while not ended.is_set():
                seen[other.load(uid).header] += 1  # UnknownInstanceError or DamagedInstanceError would end it

        with Store.open(url) as other, ThreadPoolExecutor(1) as threads:
            reader = threads.submit(read, other)
            for number in range(1, 25):
                assert archive.store(variants[number % 3]).disposition is Disposition.REPLACED
            ended.set()
            reader.result(timeout=60)
        assert len(seen) > 1
        assert_whole(archive._store)


def assert_one_wins(archive: Archive, variants: list[bytes]) -> None:
    """Eight bring objects of one UID at once: what the rule says becomes of each, and what is stored is whole."""
    rule, barrier = archive.settings.archive.on_conflict, threading.Barrier(8)

    def send(number: int) -> Disposition | None:
        barrier.wait()
        try:
            return archive.store(variants[number]).disposition
        except ConflictError:
            return None

    with ThreadPoolExecutor(8) as threads:
        outcomes = Counter(threads.map(send, range(8)))
    losers = {"refuse": None, "keep": Disposition.KEPT, "replace": Disposition.REPLACED}
    assert outcomes == {Disposition.STORED: 1, losers[rule]: 7}
    (identity,) = archive
    winner = archive.fetch(identity.sop_instance_uid)
    number = int(winner.PatientID[1:])
    assert archive.store(variants[number]).disposition is Disposition.DUPLICATE  # whole, of one sender
    assert [finding for _, found in archive.verify() for finding in found] == []
    assert len(events(archive, "kept") + events(archive, "replaced")) == (0 if rule == "refuse" else 7)


def events(archive: Archive, outcome: str) -> list[str]:
    """Details of the conflicts that ended so."""
    with archive._store._engine.connect() as connection:
        event = schema.event.c
        found = select(event.detail).where(event.kind == "conflict", event.outcome == outcome).order_by(event.id)
        return list(connection.execute(found).scalars())
