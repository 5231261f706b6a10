"""The audit trail of a door: events of the store, and audit messages to syslog where it is configured.

What is stored has its event in the commit that stores it (mripacs.store.writing). Everything else is handed to one
thread, so that no association waits for a disk or a syslog server; what it cannot write is logged.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from mripacs.audit.message import AuditEvent, AuditRecord, StudyContent, to_xml
from mripacs.audit.syslog import APPLICATION, Syslog
from mripacs.core.errors import MripacsError, StoreFullError, StoreUnavailableError
from mripacs.core.model import InstanceSelection, ReceivedFrom

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)

MAX_WAITING = 10_000  # records; more are dropped and said to be
UIDS_PER_QUERY = 500
UNKNOWN = "unknown"
CLOSE_S = 5.0  # for what is waiting when the node ends
RETRY_S = 5.0  # from one attempt to write to a database that is gone to the next

# What becomes an event of the store. Instances received are one already; a rejected peer may not fill the database.
KINDS = {
    AuditEvent.INSTANCES_SENT: "fetch",
    AuditEvent.QUERY: "query",
    AuditEvent.APPLICATION_START: "start",
    AuditEvent.APPLICATION_STOP: "stop",
}


class AuditTrail:
    """Thread-safe. `close` writes what is waiting."""

    def __init__(self, archive: Archive, syslog: Syslog | None, door: str = "DICOM") -> None:
        self._door = door
        self._archive = archive
        self._syslog = syslog
        self._closing = threading.Event()
        self._waiting: queue.Queue[tuple[AuditRecord, tuple[str, ...]] | None] = queue.Queue(MAX_WAITING)
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
            record = self._written(*item)
            if record is not None and self._syslog is not None:
                self._send(self._syslog, record)
        if self._syslog is not None:
            self._syslog.close()

    def _written(self, record: AuditRecord, instances: tuple[str, ...]) -> AuditRecord | None:
        """The record with its studies, after its events are in the database; None when they could not be written.

        A database that is gone for a while is waited for: what happened meanwhile waits in the queue.
        """
        while True:
            try:
                complete = replace(record, studies=self._studies(instances))
                self._write_events(complete)
            except MripacsError as error:
                log.error("an audit record was not written yet: %s: %s", record.event.name, error)
                may_come_back = isinstance(error, StoreUnavailableError | StoreFullError)
                if not may_come_back or self._closing.wait(RETRY_S):
                    log.error("an audit record was lost: %s", record.event.name)
                    return None
            else:
                return complete

    def _write_events(self, record: AuditRecord) -> None:
        kind = KINDS.get(record.event)
        if kind is None:
            return
        peer = record.requestor
        ours = record.destination if peer == record.source else record.source
        source = ReceivedFrom(self._door, peer.ae_title, ours.ae_title, peer.address)
        for uid in record.studies or ("",):
            self._archive.record(
                kind, source=source, uid=uid, outcome=record.outcome.name.lower(), detail=record.description
            )

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
                    _add(studies, identity.study_instance_uid, identity.sop_class_uid, uid)
        for uid in unknown:
            _add(studies, UNKNOWN, UNKNOWN, uid)
        return studies


def _add(studies: dict[str, StudyContent], study_uid: str, sop_class_uid: str, uid: str) -> None:
    studies.setdefault(study_uid, StudyContent()).instances.setdefault(sop_class_uid, []).append(uid)
