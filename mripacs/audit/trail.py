"""The audit trail of a door: events of the store, and audit messages to syslog where it is configured.

What is stored has its event in the commit that stores it (mripacs.store.writing). Everything else is handed to one
thread, so that no association waits for a disk or a syslog server; what it cannot write is logged. The thread gathers
for a moment what comes and writes it in one commit: a viewer that scrolls asks for hundreds of frames, and a commit for
each took as much of the processor as answering (2 ms), and its sync from those who store.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mripacs.audit.message import AuditEvent, AuditRecord, StudyContent, to_xml
from mripacs.audit.syslog import APPLICATION, Syslog
from mripacs.core.errors import MripacsError, StoreFullError, StoreUnavailableError
from mripacs.core.model import AuditedEvent, InstanceSelection, ReceivedFrom

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)

MAX_WAITING = 10_000  # records; more are dropped and said to be
UIDS_PER_QUERY = 500
UNKNOWN = "unknown"
CLOSE_S = 5.0  # for what is waiting when the node ends
GATHER_S = 0.2  # from a record to its commit, in which those that came meanwhile are, too; a killed node loses them
MAX_GATHERED = 500  # records of one commit
RETRY_S = 5.0  # from one attempt to write to a database that is gone to the next

# What becomes an event of the store. Instances received are one already; a rejected peer may not fill the database.
KINDS = {
    AuditEvent.INSTANCES_SENT: "fetch",
    AuditEvent.QUERY: "query",
    AuditEvent.APPLICATION_START: "start",
    AuditEvent.APPLICATION_STOP: "stop",
}


_Waiting = tuple[AuditRecord, tuple[str, ...]]  # a record, and the instances that it is about and does not name yet


class AuditTrail:
    """Thread-safe. `close` writes what is waiting."""

    def __init__(self, archive: Archive, syslog: Syslog | None, door: str = "DICOM") -> None:
        self._door = door
        self._archive = archive
        self._syslog = syslog
        self._closing = threading.Event()
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
        self._thread.start()

    @property
    def wants_stored(self) -> bool:
        """Whether stored instances are to be told, beside the event in their commit."""
        return self._syslog is not None

    def record(self, record: AuditRecord, instances: Iterable[str] = ()) -> None:
        """Write a record; `instances`, UIDs as served or received, are looked up and become its studies."""
        try:
            self._waiting.put_nowait((record, tuple(instances)))
        except queue.Full:
            log.error("an audit record was dropped: %s", record.event.name)

    def close(self) -> None:
        """Write what is waiting, within some seconds."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join(CLOSE_S)

    def _write_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            gathered = self._gathered(item)
            for record in self._written(gathered):
                if self._syslog is not None:
                    self._send(self._syslog, record)
        if self._syslog is not None:
            self._syslog.close()

    def _gathered(self, first: _Waiting) -> list[_Waiting]:
        """What came within a moment of the first."""
        gathered = [first]
        self._closing.wait(GATHER_S)
        while len(gathered) < MAX_GATHERED:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._waiting.put(None)  # the end, for whoever asks next
                break
            gathered.append(item)
        return gathered

    def _written(self, gathered: Iterable[_Waiting]) -> list[AuditRecord]:
        """The records with their studies, after their events are in the database; none when they could not be written.

        A database that is gone for a while is waited for: what happened meanwhile waits in the queue.
        """
        while True:
            try:
                complete = merged(
                    [replace(record, studies=record.studies or self._studies(uids)) for record, uids in gathered]
                )
                self._archive.record_all([event for record in complete for event in self._events(record)])
            except MripacsError as error:
                log.error("audit records were not written yet: %s", error)
                may_come_back = isinstance(error, StoreUnavailableError | StoreFullError)
                if not may_come_back or self._closing.wait(RETRY_S):
                    log.error("audit records were lost: %s", ", ".join(record.event.name for record, _ in gathered))
                    return []
            else:
                return complete

    def _events(self, record: AuditRecord) -> list[AuditedEvent]:
        kind = KINDS.get(record.event)
        if kind is None:
            return []
        peer = record.requestor
        ours = record.destination if peer == record.source else record.source
        source = ReceivedFrom(self._door, peer.ae_title, ours.ae_title, peer.address)
        outcome = record.outcome.name.lower()
        return [AuditedEvent(kind, source, uid, outcome, record.description) for uid in record.studies or ("",)]

    def _send(self, syslog: Syslog, record: AuditRecord) -> None:
        try:
            syslog.send(to_xml(record, APPLICATION))
        except OSError as error:
            log.error("an audit record was not written to syslog: %s: %s", record.event.name, error)

    def _studies(self, instances: tuple[str, ...]) -> dict[str, StudyContent]:
        """Instances by study and SOP class, under the UIDs given; what was deleted meanwhile is of unknown study."""
        studies: dict[str, StudyContent] = {}
        unknown = dict.fromkeys(instances)
        for start in range(0, len(instances), UIDS_PER_QUERY):
            chunk = instances[start : start + UIDS_PER_QUERY]
            for identity in self._archive.select(InstanceSelection(sop_instance_uids=chunk)):
                uids = (identity.sop_instance_uid, identity.original_sop_instance_uid)
                uid = next((uid for uid in uids if uid in unknown), None)
                if uid is not None:
                    del unknown[uid]
                    add_instance(studies, identity.study_instance_uid, identity.sop_class_uid, uid)
        for uid in unknown:
            add_instance(studies, UNKNOWN, UNKNOWN, uid)
        return studies


def merged(records: Iterable[AuditRecord]) -> list[AuditRecord]:
    """Records in their order, those as one in which the same participants retrieve the same from the same studies.

    PS3.15 A.5.3.7: a message tells of a set of instances that are transferred.
    """
    alike: dict[object, list[AuditRecord]] = {}
    for number, record in enumerate(records):
        what: object = number
        if record.event is AuditEvent.INSTANCES_SENT and record.studies:
            who = (record.source, record.destination, record.requestor)
            what = (record.outcome, who, record.description, frozenset(record.studies))
        alike.setdefault(what, []).append(record)
    return [each[0] if len(each) == 1 else _together(each) for each in alike.values()]


def _together(records: Sequence[AuditRecord]) -> AuditRecord:
    """The first record, with the instances of all, each once."""
    studies: dict[str, StudyContent] = {}
    for record in records:
        for study_uid, content in record.studies.items():
            whole = studies.setdefault(study_uid, StudyContent()).instances
            for sop_class_uid, uids in content.instances.items():
                whole[sop_class_uid] = list(dict.fromkeys([*whole.get(sop_class_uid, ()), *uids]))
    return replace(records[0], studies=studies, description=f"{records[0].description}, {len(records)} times")


def add_instance(studies: dict[str, StudyContent], study_uid: str, sop_class_uid: str, uid: str) -> None:
    """Name an instance among what a record is about."""
    studies.setdefault(study_uid, StudyContent()).instances.setdefault(sop_class_uid, []).append(uid)
