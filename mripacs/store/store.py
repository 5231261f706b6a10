"""The store: what must survive a power cut, behind one class.

Every method is one transaction or several reads; all may be called from any thread. On SQLite writers of this process
queue on a lock (the database's own queue polls); other processes are waited for by the database.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from mripacs.core.errors import (
    ConflictError,
    DamagedInstanceError,
    QueryError,
    StoreError,
    UnknownInstanceError,
)
from mripacs.core.model import (
    ArchiveStatistics,
    AuditedEvent,
    Deletion,
    InstanceIdentity,
    InstanceSelection,
    Level,
    NewInstance,
    Query,
    ReceivedFrom,
    StoredHeader,
    StoredInstance,
    VerifyFinding,
    VerifyProgress,
)
from mripacs.store import (
    checks,
    codec_tables,
    deleting,
    header_reading,
    progress,
    queries,
    reading,
    repacking,
    repairs,
    space,
    statistics,
    writing,
)
from mripacs.store.adding import AddedInstance, added, always_late, refused, require_rows_that_fit
from mripacs.store.commitments import Commitments
from mripacs.store.database import Turns
from mripacs.store.failures import is_race, translated
from mripacs.store.glance import Glance
from mripacs.store.headers import PackedHeader, ReferenceCache
from mripacs.store.keyed import KeyedQuestions
from mripacs.store.overview import Overview
from mripacs.store.packing import pack_header
from mripacs.store.preview_models import PreviewModels
from mripacs.store.settling import Settling
from mripacs.store.waiting import Waiting, selection_around
from mripacs.store.writing import StillWaiting

log = logging.getLogger(__name__)

UIDS_PER_PAGE = 1000
WRITE_ATTEMPTS = 10  # of an instance whose reference or series is deleted meanwhile: each needs another deletion


class Store(Overview):
    """The archive's database. `open` makes one; it is a context manager.

    Every method raises StoreUnavailableError, StoreFullError or StoreError when the database fails.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.commitments = Commitments(self._reading, self._writing)
        self.previews = PreviewModels(self._reading, self._writing)
        self._identity = Glance(engine, reading.IDENTITY_BY_UID)
        self._keyed = KeyedQuestions(engine)
        self._references = ReferenceCache()
        self._new_reference_lock = Turns()
        self.waiting = Waiting(self._reading, self._together)
        self.settling = Settling(self._reading, self._together, self._packed, self._new_reference_lock)

    def identify(self, uid: str) -> InstanceIdentity | None:
        """The instance served or received under that SOP Instance UID; None when there is none."""
        found = self.glance(uid)
        if found is not None:
            return found
        self._identity.open()
        with self._reading() as connection:
            found = reading.find_identity(connection, uid)
        if found is None and self.settler is not None:
            self._settle(InstanceSelection(sop_instance_uids=(uid,)))  # or another thread has just done it
            with self._reading() as connection:
                found = reading.find_identity(connection, uid)
        return found

    def glance(self, uid: str) -> InstanceIdentity | None:
        """As `identify`, but without waiting for anything; None where it is unknown, or must be asked by `identify`.

        On SQLite only. Raises DamagedInstanceError.
        """
        row = self._identity.look(uid)
        return reading.identity_of(row) if row else None

    def close(self) -> None:
        """Close all connections; SQLite's log is folded into the file."""
        self._identity.close()
        self._keyed.close()
        super().close()

    def add(self, new: NewInstance) -> AddedInstance:
        """Write an instance; returns after the durable commit.

        The study's and series' attributes stay those of their first instance. Raises ConflictError when one of the two
        UIDs names an instance already: nothing was written, and `identify` says which one is there. Raises
        ObjectTooLargeError for what no row of the database takes. Study and Series Instance UID must be among the
        attributes.
        """
        for _ in range(WRITE_ATTEMPTS):
            try:
                return self._add_once(new)
            except StillWaiting as error:
                self._settle(InstanceSelection(sop_instance_uids=error.uids))
            except IntegrityError as error:
                self._refuse_unless_race(new, error)
        raise always_late(new)

    def replace(self, new: NewInstance) -> AddedInstance:
        """As `add`, but whatever has one of the two UIDs goes in the same transaction, with an audit event.

        At every moment readers find the old instance or the new one. Of several that replace at once the last stays.
        """
        for _ in range(WRITE_ATTEMPTS):
            try:
                return self._replace_once(new)
            except StillWaiting as error:
                self._settle(InstanceSelection(sop_instance_uids=error.uids))
            except IntegrityError as error:
                if not is_race(error):
                    raise refused(new, error) from error
        raise always_late(new)

    def delete(
        self, selection: InstanceSelection, *, source: ReceivedFrom | None = None, dry_run: bool = False
    ) -> Deletion:
        """Take the selected instances out, in one transaction with its audit event, and give back their space.

        Series and studies that are left empty go, and header references that no header needs; the other attributes of
        a study or series stay those of the instance that came first. What waits to be compressed is compressed first,
        or goes as it is where that is not possible. A dry run deletes nothing and says the same.
        Raises UnknownInstanceError when nothing is selected, QueryError for a selection without restriction.
        """
        if selection == InstanceSelection():
            raise QueryError("a deletion must name a patient, study, series or instance")
        self._settle(selection)
        with self._writing() as connection:
            victims = deleting.claim(connection, selection)
            deleting.remove(connection, victims)
            victims += deleting.remove_waiting(connection, selection)
            if not victims:
                raise UnknownInstanceError("nothing in the archive matches")
            deletion = deleting.tidy(connection, victims)
            deleting.write_events(connection, selection, victims, deletion, source or ReceivedFrom("api"))
            if dry_run:
                connection.rollback()
        if not dry_run:
            self.free_space()
        return deletion

    def vacuum(self) -> int:
        """Give unused space back to the file system, and say how many bytes. A node may run meanwhile."""
        with translated():
            return space.vacuum(self._engine, self._write_lock)

    def load(self, uid: str) -> StoredInstance:
        """The instance's header and payload, every digest checked.

        Raises UnknownInstanceError, and DamagedInstanceError naming the damaged part.
        """
        with self._reading() as connection:
            found = reading.load_instance(connection, uid, self._references)
        if found is None and self.settler is not None:
            self._settle(InstanceSelection(sop_instance_uids=(uid,)))  # as above
            with self._reading() as connection:
                found = reading.load_instance(connection, uid, self._references)
        if found is None:
            raise UnknownInstanceError(f"no instance {uid} is stored")
        return found

    def load_many(self, uids: Sequence[str]) -> dict[str, StoredInstance | DamagedInstanceError]:
        """As `load`, of several by one statement: by the UID each is served under; unknown ones are left out.

        All their bytes are in memory at once.
        """
        with self._reading() as connection:
            return reading.load_instances(connection, uids, self._references)

    def replace_payload(self, uid: str, expected: bytes, payload: bytes) -> bool:
        """Put another payload of the same pixels in the place of `expected`, in one transaction with its digests.

        False when the instance has gone, is in quarantine or has another payload by now: then nothing is written.
        """
        with self._writing() as connection:
            return repacking.replace_payload(connection, uid, expected, payload)

    def add_codec_tables(self, content: bytes) -> bool:
        """Keep trained tables that payloads name, for ever; False if they are there already."""
        with self._writing() as connection:
            return codec_tables.add(connection, content)

    def codec_tables(self, name: bytes) -> bytes | None:
        """The trained tables whose SHA-256 begins with `name`; None if there are none, or they are damaged."""
        with self._reading() as connection:
            return codec_tables.find(connection, name)

    def list_codec_tables(self) -> list[tuple[str, int, str]]:
        """SHA-256, bytes and time of addition of all trained tables, oldest first."""
        with self._reading() as connection:
            return codec_tables.listed(connection)

    def load_headers(self, uids: Sequence[str]) -> list[StoredHeader]:
        """Headers of the instances served under the UIDs, in their order, every digest checked; one statement.

        Unknown UIDs are left out. Raises DamagedInstanceError naming the damaged part.
        """
        with self._reading() as connection:
            return header_reading.load_headers(connection, uids, self._references)

    def select(self, selection: InstanceSelection) -> list[InstanceIdentity]:
        """The instances selected, by study and series as they first came, then by Instance Number."""
        self._settle(selection)
        with self._reading() as connection:
            return reading.select_identities(connection, selection)

    def aliases(self, uids: Iterable[str]) -> dict[str, str]:
        """Served UID by original UID, for those of the given originals that are served under another."""
        asked = list(uids)
        for start in range(0, len(asked), reading.MAX_UIDS):
            self._settle(InstanceSelection(sop_instance_uids=tuple(asked[start : start + reading.MAX_UIDS])))
        with self._reading() as connection:
            return reading.find_aliases(connection, asked)

    def query(self, query: Query) -> Iterator[dict[str, str | int]]:
        """Rows by keyword at the query's level (mripacs.store.queries tells which keys match and what is returned).

        Rows are read while they are consumed. Raises QueryError at once for a key that cannot be matched.
        """
        question = self._keyed.question(query)
        statement = queries.build(query, self._engine.dialect.name) if question is None else None
        if query.level is Level.IMAGE:
            self._settle(selection_around(query))
        found = self._keyed.rows(question) if question is not None else None
        return iter(found) if found is not None else self._rows(query, statement)

    def statistics(self) -> ArchiveStatistics:
        """Totals of the archive, and the same by codec, modality, manufacturer and error."""
        with self._reading() as connection:
            return statistics.collect(connection)

    def reference_bytes(self) -> dict[str, int]:
        """Stored bytes of header references by Series Instance UID."""
        with self._reading() as connection:
            return statistics.reference_bytes(connection)

    def iterate_uids(self, after: str | None = None) -> Iterator[str]:
        """The UIDs that instances are served under, in code point order, after `after`; no transaction is held."""
        self._settle(InstanceSelection())
        while True:
            with self._reading() as connection:
                page = reading.page_of_uids(connection, after, UIDS_PER_PAGE)
            if not page:
                return
            yield from page
            after = page[-1]

    def verify_bytes(self, uid: str) -> list[VerifyFinding]:
        """What is wrong with the stored bytes of an instance; all parts are looked at. UnknownInstanceError."""
        with self._reading() as connection:
            return checks.verify_bytes(connection, uid)

    def check_references(self) -> list[VerifyFinding]:
        """What is wrong between rows: dangling references, missing parts, counts; digests of all header references."""
        with self._reading() as connection:
            return checks.check_references(connection)

    def iterate_instances(self, after: int = 0) -> Iterator[tuple[int, str]]:
        """Row numbers and served UIDs of the instances, those with numbers above `after`, as they were stored."""
        self._settle(InstanceSelection())
        while True:
            with self._reading() as connection:
                page = reading.page_of_instances(connection, after, UIDS_PER_PAGE)
            if not page:
                return
            yield from page
            after = page[-1][0]

    def quarantine(self, uid: str, why: str) -> bool:
        """Stop giving out a damaged instance, with an audit event; False if that was so already, or it is not there."""
        with self._writing() as connection:
            changed = repairs.quarantine(connection, uid)
            if changed:
                writing.write_event(connection, "quarantine", ReceivedFrom("verify"), uid, "quarantined", why)
        return changed

    def quarantined(self) -> list[InstanceIdentity]:
        """The instances that are not given out because they were found damaged."""
        with self._reading() as connection:
            return reading.quarantined_identities(connection)

    def repair(self) -> list[str]:
        """Put right what follows from other rows: orphans, UIDs, counts. Says what was done; may run beside a node."""
        with self._writing() as connection:
            done = repairs.drop_orphans(connection) + repairs.restore_uids(connection)
            done += repairs.restore_name_parts(connection)
        with self._reading() as connection:
            studies = repairs.studies(connection)
        for study_id, study_uid in studies:
            with self._writing() as connection:
                repairs.recount_study(connection, study_id, study_uid)
        return done

    def progress(self, name: str) -> VerifyProgress | None:
        """How far the verification of that name has come; None if there never was one."""
        with self._reading() as connection:
            return progress.read(connection, name)

    def save_progress(self, name: str, state: VerifyProgress) -> None:
        """Keep how far a verification has come, with the time."""
        with self._writing() as connection:
            progress.write(connection, name, state)

    def record(
        self, kind: str, *, source: ReceivedFrom | None = None, uid: str = "", outcome: str = "", detail: str = ""
    ) -> None:
        """Write an audit event; `uid` is the instance, series or study that it is about. No patient data."""
        with self._writing() as connection:
            writing.write_event(connection, kind, source or ReceivedFrom(""), uid, outcome, detail)

    def record_all(self, events: Iterable[AuditedEvent]) -> None:
        """Write audit events in one transaction."""
        with self._writing() as connection:
            for event in events:
                writing.write_event(connection, event.kind, event.source, event.uid, event.outcome, event.detail)

    def _add_once(self, new: NewInstance) -> AddedInstance:
        header = self._packed(new)
        if header.reference_data is None:
            return self._write(new, header)
        with self._new_reference_lock:  # else each association that brings a part of a new series adds its own
            return self._write(new, self._packed(new))

    def _packed(self, new: NewInstance) -> PackedHeader:
        with self._reading() as connection:
            return pack_header(connection, new, self._references)

    def _write(self, new: NewInstance, header: PackedHeader) -> AddedInstance:
        require_rows_that_fit(new, header)
        received_at = self._together.run(lambda connection: writing.write_instance(connection, new, header))
        return added(new, header, received_at)

    def _replace_once(self, new: NewInstance) -> AddedInstance:
        with self._writing() as connection:
            uids = InstanceSelection(sop_instance_uids=(new.sop_instance_uid, new.original_sop_instance_uid))
            victims = deleting.claim(connection, uids, str(new.attributes.study["StudyInstanceUID"]))
            deleting.remove(connection, victims)
            deleting.tidy(connection, victims)
            header = pack_header(connection, new, self._references)  # here: the references are those that are left
            require_rows_that_fit(new, header)
            received_at = writing.write_instance(connection, new, header)
            deleting.write_replacements(connection, victims, new)
        self.free_space()
        return added(new, header, received_at)

    def _refuse_unless_race(self, new: NewInstance, error: IntegrityError) -> None:
        """ConflictError when one of the UIDs is taken; nothing when trying again may help; else it is a defect."""
        taken = [uid for uid in (new.sop_instance_uid, new.original_sop_instance_uid) if self.identify(uid)]
        if taken:
            raise ConflictError(f"another instance is stored under {taken[0]}") from error
        if not is_race(error):
            raise refused(new, error) from error

    def free_space(self) -> None:
        """Give back what deleted rows left in an SQLite file, in short steps; what hinders it is logged, not raised.

        A deletion that is committed must not look like one that failed.
        """
        try:
            with translated():
                space.free(self._engine, self._write_lock)
        except StoreError as error:
            log.warning("space was not given back yet: %s", error)

    def _rows(self, query: Query, statement: queries.Statement | None) -> Iterator[dict[str, str | int]]:
        statement = statement or queries.build(query, self._engine.dialect.name)
        with self._reading() as connection:
            yield from queries.rows(connection, query, statement)
