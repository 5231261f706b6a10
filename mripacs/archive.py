"""The public facade: an archive that stores, finds and gives back DICOM objects.

with mripacs.Archive.open("archive-folder") as archive:
    receipt = archive.store("slice.dcm")
    for row in archive.find(level="STUDY", PatientID="4711"):
        ...
    dataset = archive.fetch(receipt.sop_instance_uid)
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mripacs.codec import tables_registry
from mripacs.core import metrics
from mripacs.core.errors import MripacsError, UnknownInstanceError
from mripacs.core.model import (
    Acknowledged,
    ArchiveStatistics,
    AuditedEvent,
    DatabaseHealth,
    Decision,
    Deletion,
    Disposition,
    InstanceIdentity,
    InstanceSelection,
    Outgoing,
    Preview,
    Query,
    Receipt,
    ReceivedFrom,
    ReceivedObject,
    SeriesTotals,
    StorageGrowth,
)
from mripacs.core.private import write_private
from mripacs.core.settings import Settings, load_settings
from mripacs.dicom import datasets, part10, walking
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN
from mripacs.ingest.behind import Behind
from mripacs.ingest.coding import Coding
from mripacs.ingest.compress import GivenOut
from mripacs.ingest.inspection import inspect
from mripacs.ingest.policy import Policy
from mripacs.ingest.receive import Ingest
from mripacs.ingest.workers import Workers, load_codec, start_workers
from mripacs.previews import Previews
from mripacs.retrieve.ahead import Fetched, ReadAhead
from mripacs.retrieve.fetch import Retrieve
from mripacs.retrieve.finishing import Finishing
from mripacs.retrieve.generations import Generations, GenerationsJob, run_generations
from mripacs.retrieve.growth import Growth
from mripacs.retrieve.images import Image, Images
from mripacs.retrieve.matching import parse_level, parse_query
from mripacs.retrieve.metadata import BulkUri, Metadata
from mripacs.retrieve.recent import Recent
from mripacs.retrieve.repack import Repacking
from mripacs.retrieve.scrolling import Scrolling
from mripacs.retrieve.scrub import Scrub
from mripacs.retrieve.verify import Verification
from mripacs.store import Store
from mripacs.store.commitments import Commitments
from mripacs.store.preview_models import PreviewModels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from mripacs.dicom.json_model import Model

BATCHES_AHEAD = 8  # rounds of work read ahead by `store_many`: bounds its memory
BATCHES_PER_WORKER = 2  # read ahead by `fetch_many` for each worker: one decoded, one read or waiting
IN_FLIGHT_PER_WORKER = 2  # objects of one `store_many` under way for each worker: one coded, one committed


class Archive:
    """One archive on one database. Thread-safe; close it, or use it as a context manager."""

    def __init__(
        self, settings: Settings, store: Store, workers: Workers, recent: Recent | None = None, owner: str = ""
    ) -> None:
        self.settings = settings
        self._recent = recent or Recent()
        self._store = store
        self._workers = workers
        self._concurrency = workers.count
        tables_registry.add_source(store.codec_tables)  # payloads may name tables that do not ship
        finishing = Finishing(store, self._recent, workers.run)
        self._retrieve = Retrieve(finishing, settings.archive.rewrite_references)
        self._readers = ThreadPoolExecutor(max(1, workers.count), thread_name_prefix="read ahead")
        self._ahead = ReadAhead(self._retrieve, self._readers, BATCHES_PER_WORKER * max(1, workers.count))
        self._metadata = Metadata(store, settings.archive.rewrite_references)
        self._scrolls = ThreadPoolExecutor(1, thread_name_prefix="read behind")
        self._images = Images(finishing, Scrolling(finishing, self._scrolls).look)
        self._growth = Growth(store)
        self._previews = Previews(store, workers, settings.preview)
        policy = Policy.from_settings(settings.policy)
        coding = Coding(workers, settings.archive, settings.limits)
        self._behind = Behind(store, policy, coding, settings.archive, settings.limits, owner, self._settled)
        store.settler = self._behind.settle
        self._ingest = Ingest(
            store=store,
            policy=policy,
            coding=coding,
            behind=self._behind,
            settings=settings.archive,
            limits=settings.limits,
            served=self._retrieve.fetch,
        )

    @classmethod
    def open(
        cls,
        directory: Path | str | None = None,
        *,
        settings: Settings | None = None,
        workers: int | Workers = 0,
        recent: Recent | None = None,
        owner: str = "",
    ) -> Self:
        """Open an archive, creating it if it is not there.

        directory : folder of the embedded database; overrides the settings' one.
        settings : the whole configuration (`mripacs.load_settings`); defaults apply where it is None.
        workers : codec processes; 0 codes in the calling thread, which needs no `if __name__ == "__main__"` guard.
        Workers that were started already are closed with the archive.
        recent : finished instances that are shared with other processes; None: each read is decoded.
        owner : names the node whose process compresses what `accept` takes here; a node's processes give the same.
        Raises StoreError when the database cannot be opened, SchemaError when it needs an upgrade.
        """
        if settings is None:
            settings = load_settings(environment={})
        if directory is not None:
            location = settings.archive.model_copy(update={"directory": Path(directory), "database_url": None})
            settings = settings.model_copy(update={"archive": location})
        store = Store.open(settings.database_url)
        started = start_workers(workers, load_codec) if isinstance(workers, int) else workers
        return cls(settings, store, started, recent, owner)

    def store(self, item: ReceivedObject | Path | str | bytes | Dataset) -> Receipt:
        """Store one object durably: a file's path, its bytes, a pydicom data set, or an object from the wire.

        Raises RefusedError (not DICOM, no identity, conflict, too large) or StoreError; then nothing of it is kept.
        """
        if isinstance(item, ReceivedObject):
            received = item
        elif isinstance(item, Path | str | bytes):
            received = part10.read_part10(item, self.settings.limits.max_object_bytes)
        else:
            received = datasets.from_dataset(item)
        receipt = self._ingest.receive(received)
        if receipt.disposition in (Disposition.STORED, Disposition.REPLACED):
            self._previews.offer(receipt.sop_instance_uid)
        return receipt

    def accept(self, received: ReceivedObject) -> Acknowledged:
        """Take one object durably, to be compressed behind; at once where the settings or a full backlog say so.

        Some process must `compress_behind`, or readers do it. Raises as `store`; then nothing of it is kept.
        """
        return self._ingest.accept(received)

    @property
    def acknowledges_received(self) -> bool:
        """Whether `accept` needs no codec as long as the backlog has room."""
        return self.settings.archive.acknowledge == "received"

    def compress_behind(self) -> None:
        """Compress what was accepted, here, on another process of the same owner or before a kill, until `close`."""
        self._behind.start()

    def store_many(self, items: Iterable[tuple[str, Path | bytes]]) -> Iterator[tuple[str, Receipt | MripacsError]]:
        """Store labelled files or their bytes, several at once where there are workers, in their order.

        Gives each label with its receipt or its error; an error concerns that item alone.
        """
        concurrency = max(1, IN_FLIGHT_PER_WORKER * self._concurrency)
        remaining = iter(items)
        with ThreadPoolExecutor(concurrency, thread_name_prefix="store") as threads:
            while batch := list(islice(remaining, BATCHES_AHEAD * concurrency)):
                outcomes = threads.map(self._store_or_error, (content for _, content in batch))
                yield from zip((label for label, _ in batch), outcomes, strict=True)

    def find(self, level: str = "STUDY", **keys: str) -> Iterator[dict[str, str | int]]:
        """Rows at a level (PATIENT, STUDY, SERIES, IMAGE) that match DICOM keys given by keyword (PS3.4 C.2.2.2).

        Wildcards, ranges and lists (joined by a backslash) as in C-FIND; an empty key is returned and matches all.
        Raises QueryError.
        """
        return self.query(parse_query(parse_level(level), keys))

    def query(self, query: Query) -> Iterator[dict[str, str | int]]:
        """Rows for a parsed query."""
        return self._retrieve.find(query)

    def supports(self, query: Query) -> bool:
        """Whether every key of a query is one that this archive matches by."""
        return self._retrieve.supports(query)

    def select(self, selection: InstanceSelection) -> list[InstanceIdentity]:
        """The instances that UIDs at any level name; original UIDs find derived instances."""
        return self._retrieve.select(selection)

    def identify(self, uid: str) -> InstanceIdentity:
        """Identity and certificate of the instance served or received under `uid`. Raises UnknownInstanceError."""
        return self._retrieve.identify(uid)

    def glance(self, uid: str) -> InstanceIdentity | None:
        """As `identify`, where that waits for nothing; None where there is none, or `identify` must be asked."""
        return self._store.glance(uid)

    def fetch(self, uid: str) -> Dataset:
        """The instance as a pydicom data set with file meta information, its pixels checked."""
        return part10.to_dataset(self.fetch_encoded(uid))

    def fetch_encoded(self, uid: str, accepted: Collection[str] | None = None) -> Outgoing:
        """The instance's bytes, in one of the accepted transfer syntaxes or as it is natively given out.

        Raises UnknownInstanceError, DamagedInstanceError, TranscodeError.
        """
        with metrics.counting_errors("fetch"), metrics.FETCH_SECONDS.time():
            outgoing = self._retrieve.fetch(uid) if accepted is None else self._retrieve.fetch_as(uid, accepted)
        metrics.FETCHED_BYTES.inc(len(outgoing.dataset))
        return outgoing

    def fetch_many(self, identities: Sequence[InstanceIdentity]) -> Iterator[Fetched]:
        """Instances in their order; while one is sent, those behind it are read and decoded in the codec processes.

        identities : as `select` has just given them. Each gives its bytes, or raises its error, when asked
        (`Fetched.encoded`). Close the iterator when nobody wants the rest. For one thread.
        """
        return self._ahead.read(identities)

    def metadata(self, uids: Collection[str], bulk_uri: BulkUri) -> list[tuple[InstanceIdentity, Model]]:
        """What the headers of instances say, in the DICOM JSON model (PS3.18 F), lossy marks and all; read-only.

        uids : as served; unknown ones are left out. bulk_uri : gives the URI of a value that is left out, by the
        instance and the element's path. Raises DamagedInstanceError, TranscodeError.
        """
        return self._metadata.models(uids, bulk_uri)

    def bulk(self, uid: str, path: str) -> bytes:
        """A value that `metadata` left out, little endian. Raises UnknownInstanceError, DamagedInstanceError."""
        return self._metadata.bulk(uid, path)

    def image(self, instance: str | InstanceIdentity) -> Image:
        """An instance's pixels, decoded and checked; the last ones are held.

        instance : its UID, served or received, or the identity that was just looked up.
        Raises UnknownInstanceError, DamagedInstanceError, TranscodeError where there are none that can be decoded.
        """
        return self._images.open(self.identify(instance) if isinstance(instance, str) else instance)

    def native_frame(self, identity: InstanceIdentity, number: int) -> bytes:
        """A frame's samples, little endian, colour by pixel, counted from 1. Raises as `image`."""
        return self._images.native(identity, number)

    def frame_at_hand(self, identity: InstanceIdentity, number: int) -> bytes | None:
        """As `native_frame`, where that takes a fraction of a millisecond and waits for nothing; else None."""
        return self._images.at_hand(identity, number)

    def preview(self, uid: str) -> Preview | None:
        """The small picture of the instance served or received under `uid`; None where none is (yet) made.

        Never the instance, and never for diagnosis: show its label beside it.
        Raises DamagedInstanceError, PayloadError.
        """
        return self._previews.show(uid)

    def with_preview(self, uids: Sequence[str]) -> frozenset[str]:
        """Those of these instances, by served UID, that have a preview to show."""
        return self._store.previews.shown(uids)

    def make_previews(self, ended: threading.Event) -> None:
        """Make previews, as the settings say, until `ended` is set; returns at once where they are off."""
        self._previews.run(ended)

    @property
    def models(self) -> PreviewModels:
        """The preview models of the database, and which of them is active."""
        return self._store.previews

    def fragments(self, instance: str | InstanceIdentity, syntax: str) -> list[bytes]:
        """The codestream of each frame, as received in an encapsulated transfer syntax; otherwise as `image`."""
        return self._images.fragments(self.identify(instance) if isinstance(instance, str) else instance, syntax)

    def __iter__(self) -> Iterator[InstanceIdentity]:
        """Every instance's identity, in the order of their UIDs; instances stored meanwhile may be left out."""
        return (self.identify(uid) for uid in self._store.iterate_uids())

    def record(
        self, kind: str, *, source: ReceivedFrom | None = None, uid: str = "", outcome: str = "", detail: str = ""
    ) -> None:
        """Write an audit event; `uid` is the instance, series or study that it is about. No patient data."""
        self._store.record(kind, source=source, uid=uid, outcome=outcome, detail=detail)

    def record_all(self, events: Iterable[AuditedEvent]) -> None:
        """Write audit events in one commit."""
        self._store.record_all(events)

    @property
    def commitments(self) -> Commitments:
        """Requests for storage commitment that are not reported yet."""
        return self._store.commitments

    def statistics(self) -> ArchiveStatistics:
        """Totals of what was received and what is kept."""
        return self._store.statistics()

    def reference_bytes(self) -> dict[str, int]:
        """Stored bytes of the header references, by Series Instance UID: what the instances' headers rest on."""
        return self._store.reference_bytes()

    def verify(self, *, repair: bool = False, resume: bool = False, rate: float | None = None) -> Verification:
        """Read every instance and check every digest and proof: iterate over what is returned.

        repair : quarantine what is damaged, drop what belongs to nothing, derive counts anew.
        resume : go on where an interrupted verification stopped. rate : instances a second at most.
        """
        return Verification(self._store, resume=resume, repair=repair, rate=rate)

    def repack(
        self,
        *,
        studies: Iterable[str] = (),
        tables: str | None = None,
        resume: bool = False,
        rate: float | None = None,
    ) -> Repacking:
        """Code payloads again by the `small` coder, same pixels, fewer bytes: iterate over what is returned.

        tables : SHA-256 of tables that were added, instead of those that ship; UnknownTablesError for others. studies :
        Study Instance UIDs to go through, all of them if there are none. resume : go on where an interrupted one
        stopped. rate : instances a second at most. A node may run meanwhile.
        """
        name = tables_registry.parse_name(tables) if tables else None
        if name is not None:
            tables_registry.find(name)
        return Repacking(self._store, studies=tuple(studies), tables=name, resume=resume, rate=rate)

    def add_codec_tables(self, content: bytes) -> str:
        """Keep a file of trained tables in the archive, for ever; gives its SHA-256. Raises CodecError for others."""
        from mripacs.codec.kwavelet.small_tables import SmallTables  # noqa: PLC0415 - numba loads only where needed

        SmallTables.from_bytes(content).nets  # noqa: B018 - checks that sums are exact
        self._store.add_codec_tables(content)
        return hashlib.sha256(content).hexdigest()

    def codec_tables(self) -> list[tuple[str, int, str]]:
        """SHA-256, bytes and time of addition of the trained tables that were added, oldest first."""
        return self._store.list_codec_tables()

    def quarantined(self) -> list[InstanceIdentity]:
        """The instances that are not given out because they were found damaged."""
        return self._store.quarantined()

    def scrub(self, ended: threading.Event) -> None:
        """Verify by the settings' schedule until `ended` is set; returns at once when it is switched off."""
        hours, rate = self.settings.archive.scrub_interval_hours, self.settings.archive.scrub_rate
        if hours:
            Scrub(self._store, timedelta(hours=hours), rate).run(ended)

    def export(self, identity: InstanceIdentity, directory: Path) -> Path:
        """Write an instance as a Part 10 file (0600) under study/series/instance.dcm; gives its path."""
        folder = directory / identity.study_instance_uid / identity.series_instance_uid
        path = folder / f"{identity.sop_instance_uid}.dcm"
        write_private(path, part10.write_part10(self.fetch_encoded(identity.sop_instance_uid)))
        return path

    def delete(
        self,
        *,
        study: str | None = None,
        series: str | None = None,
        instance: str | None = None,
        dry_run: bool = False,
        source: ReceivedFrom | None = None,
    ) -> Deletion:
        """Delete what the UIDs name (all that are given must hold), an instance by its served or its original UID.

        source : who wants it, for the audit trail. A dry run changes nothing and gives the same answer.
        Raises UnknownInstanceError when nothing is named, QueryError without any UID.
        """
        return self._store.delete(
            InstanceSelection(
                study_uids=(study,) if study else (),
                series_uids=(series,) if series else (),
                sop_instance_uids=(instance,) if instance else (),
            ),
            source=source,
            dry_run=dry_run,
        )

    def vacuum(self) -> int:
        """Give unused space of the database back to the file system; says how many bytes."""
        return self._store.vacuum()

    def growth(self) -> StorageGrowth:
        """What was received and what it takes, by day and manufacturer; reads what is new since the last call."""
        return self._growth.read()

    def middle_instance(self, study: str, series: str | None = None) -> str:
        """UID of the instance that stands for a study or series in pictures. Raises UnknownInstanceError."""
        uid = self._store.middle_instance(study, series)
        if uid is None:
            raise UnknownInstanceError(f"no study {study} with images is stored")
        return uid

    def series_totals(self, study: str) -> dict[str, SeriesTotals]:
        """What each series of a study is and takes, by Series Instance UID."""
        return self._store.series_totals(study)

    def series_order(self, study: str, series: str) -> list[str]:
        """Served UIDs of a series' instances, by Instance Number."""
        return self._store.series_order(study, series)

    def generations(self, frame: NDArray[Any], rel_error: float, count: int) -> Generations:
        """Encode a frame (rows, columns) and what comes of it `count` times (20 at most), in a codec process.

        Raises CodecInputError for frames that the K-wavelet codec does not take.
        """
        return self._workers.run(run_generations, GenerationsJob(frame, rel_error, count))

    def database_health(self) -> DatabaseHealth:
        """Whether the database answers now, its size, and what room is left. Raises StoreError."""
        return self._store.health()

    def wait_until_ready(self) -> None:
        """Return when objects can be taken at once: the codec processes are there, and this one can read headers fast.

        The first time on a machine this compiles both. What reads headers takes the calling process 120 MB.
        """
        self._workers.wait_until_ready()
        walking.load()

    def close(self) -> None:
        """Finish what is under way, end the codec processes and close the database."""
        self._behind.close()
        self._previews.close()
        self._scrolls.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        self._workers.close()
        tables_registry.remove_source(self._store.codec_tables)
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settled(self, identity: InstanceIdentity, received: ReceivedObject, given_out: GivenOut | None) -> None:
        """An instance was compressed behind: what its first readers want is at hand."""
        self._previews.offer(identity.sop_instance_uid)
        if given_out is None or not self._recent:
            return
        as_received = given_out.dataset is None
        outgoing = Outgoing(
            identity.sop_class_uid,
            identity.sop_instance_uid,
            received.transfer_syntax if as_received else EXPLICIT_VR_LITTLE_ENDIAN,
            received.dataset if given_out.dataset is None else given_out.dataset,
        )
        self._recent.put(identity, outgoing, np.broadcast_to(np.zeros((), given_out.dtype), given_out.shape))

    def _store_or_error(self, content: Path | bytes) -> Receipt | MripacsError:
        try:
            return self.store(content)
        except MripacsError as error:
            return error


def explain_policy(path: Path, settings: Settings, calling_ae: str = "") -> Decision:
    """What the settings' policy would choose for a file. Raises RefusedError for what would not be taken."""
    received = replace(part10.read_part10(path), calling_ae=calling_ae)
    return inspect(received, Policy.from_settings(settings.policy), settings.limits).decision
