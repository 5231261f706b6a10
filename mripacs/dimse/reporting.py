"""Commitment reports on their way: on the association of the request while it lasts, else on our own, with retries.

A request is in the database before it is acknowledged and until its report was taken, so that a node which ends, or is
killed, reports when it runs again. What is promised is read from the archive anew for each attempt.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel

from mripacs.core.errors import MripacsError, PeerError, QueryError
from mripacs.core.model import PendingCommitment, ReceivedFrom
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from mripacs.dimse import commitment, statuses
from mripacs.dimse.commitment import CommitmentReport
from mripacs.dimse.destinations import Route
from mripacs.dimse.event_sending import send_event_report
from mripacs.dimse.requesting import DirectEntity
from mripacs.dimse.sockets import NO_DELAY

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)

# A requestor that only wants to hand its request over releases the association right after the response; a report sent
# into that would meet the release. One that waits loses this much.
MOMENT_S = 0.5
RETRY_AFTER_S = (5.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0)
LEASE_S = 60.0  # for one attempt: after a kill, another node or the next start takes over when this has passed
MAX_ANSWERING = 64  # requests being answered on their associations at once; one more is told to come back later
CONNECTION_TIMEOUT_S = 30.0
CLOSE_S = 5.0


class CommitmentProvider:
    """Answers N-ACTION and sends the reports. Thread-safe; `close` leaves what is pending to the next start."""

    def __init__(
        self,
        archive: Archive,
        destinations: Mapping[str, Route],
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
    ) -> None:
        self._archive = archive
        self._destinations = destinations
        self._retry_after_s = retry_after_s
        self._unreachable: dict[str, float] = {}  # requestor to the time (monotonic) until which it is left alone
        self._slots = threading.BoundedSemaphore(MAX_ANSWERING)
        self._closed = threading.Event()
        self._due = threading.Event()
        self._caller = threading.Thread(target=self._call_back_all, name="commitment reports", daemon=True)
        self._starting = threading.Lock()

    def start(self) -> None:
        """Report what an earlier run left behind, and what has been put off since; calling it again changes nothing."""
        with self._starting:
            if self._caller.ident is None:
                self._caller.start()

    def handle_action(self, event: evt.Event) -> tuple[int | Dataset, None]:
        """PS3.4 J.3.2: success means that a report will follow."""
        refusal = commitment.refusal(event)
        if refusal is not None:
            return refusal, None
        try:
            request = self._keep(commitment.read_request(event))
        except QueryError as error:
            log.warning("commitment request of %r refused: %s", event.assoc.requestor.ae_title, error)
            return commitment.INVALID_ARGUMENT, None
        except MripacsError as error:
            log.error("commitment request of %r refused: %s", event.assoc.requestor.ae_title, error)
            return commitment.PROCESSING_FAILURE, None
        if request is None:
            return commitment.RESOURCE_LIMITATION, None
        threading.Thread(target=self._answer, args=(event.assoc, request), name="commitment", daemon=True).start()
        return statuses.SUCCESS, None

    def close(self) -> None:
        """Send nothing more; what is pending stays in the database."""
        self._closed.set()
        self._due.set()
        if self._caller.ident is not None:
            self._caller.join(CLOSE_S)

    def _keep(self, request: PendingCommitment) -> PendingCommitment | None:
        """Take a place among those that are answered, and write the request down; None when there are too many."""
        if not self._slots.acquire(blocking=False):
            return None
        kept = None
        try:
            kept = self._archive.commitments.add(request, LEASE_S)
        finally:
            if kept is None:
                self._slots.release()
        return kept

    def _answer(self, association: Association, request: PendingCommitment) -> None:
        """On the association of the request; what fails here is left to the caller's thread."""
        try:
            report = CommitmentReport.on(self._archive, request)
            log.info(
                "commitment %s of %r: %d promised, %d not",
                request.transaction_uid, request.requestor, len(report.committed), len(report.failed),
            )  # fmt: skip
            information = report.information(request.own_title)
            if not self._closed.wait(MOMENT_S) and _send(association, report, information):
                self._end(request, "reported")
                return
            self._archive.commitments.postpone(request, 0)
            self.start()
            self._due.set()
        except Exception as error:  # noqa: BLE001 - a thread of its own: nobody else would tell
            log.error("commitment %s of %r: %s", request.transaction_uid, request.requestor, type(error).__name__)
        finally:
            self._slots.release()

    def _call_back_all(self) -> None:
        """Attempt what is due, until closed."""
        while not self._closed.is_set():
            self._due.clear()
            try:
                while not self._closed.is_set() and (request := self._archive.commitments.claim_due(LEASE_S)):
                    self._attempt(request)
            except MripacsError as error:
                log.error("commitments: %s", error)
            except Exception as error:  # noqa: BLE001 - as above; the rows are due again later
                log.error("commitments: %s", type(error).__name__)
            self._due.wait(self._retry_after_s[0])

    def _attempt(self, request: PendingCommitment) -> None:
        """One report on an association of our own. Raises StoreError."""
        route = self._destinations.get(request.requestor)
        if route is None:
            uid, title = request.transaction_uid, request.requestor
            log.warning("commitment %s: %r left and is no known destination", uid, title)
            self._end(request, "never reported")
            return
        if time.monotonic() < self._unreachable.get(request.requestor, 0):
            self._try_later(request)
            return
        try:
            _report_to(route, request, CommitmentReport.on(self._archive, request))
        except PeerError as error:
            log.warning("commitment %s is not reported yet: %s", request.transaction_uid, error)
            self._unreachable[request.requestor] = time.monotonic() + self._retry_after_s[0] / 2
            self._try_later(request)
        else:
            self._end(request, "reported")

    def _try_later(self, request: PendingCommitment) -> None:
        if request.attempts > len(self._retry_after_s):
            log.error("commitment %s of %r was never reported", request.transaction_uid, request.requestor)
            self._end(request, "never reported")
        else:
            self._archive.commitments.postpone(request, self._retry_after_s[request.attempts - 1])

    def _end(self, request: PendingCommitment, outcome: str) -> None:
        self._archive.commitments.remove(request)
        source = ReceivedFrom("DICOM", request.requestor, request.own_title)
        detail = f"{len(request.references)} instances"
        self._archive.record("commitment", source=source, uid=request.transaction_uid, outcome=outcome, detail=detail)


def _send(association: Association, report: CommitmentReport, information: Dataset) -> bool:
    """Whether the report was sent on an association and the peer took it."""
    contexts = [item for item in association.accepted_contexts if item.abstract_syntax == StorageCommitmentPushModel]
    if not contexts:
        return False
    try:
        status = send_event_report(association, contexts[0], report.event_type, commitment.SOP_INSTANCE, information)
    except PeerError as error:
        log.info("commitment %s: %s", report.transaction_uid, error)
        return False
    return status == statuses.SUCCESS


def _report_to(route: Route, request: PendingCommitment, report: CommitmentReport) -> None:
    """One attempt. Raises PeerError."""
    entity = DirectEntity(ae_title=request.own_title)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = CONNECTION_TIMEOUT_S
    association = entity.associate(
        route.host,
        route.port,
        contexts=[build_context(StorageCommitmentPushModel, list(NATIVE_SYNTAXES))],
        ae_title=request.requestor,
        ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],  # PS3.4 J.3.3: we stay the SCP
        tls_args=route.tls_args,
        evt_handlers=[NO_DELAY],
    )
    where = f"{request.requestor} at {route.host}:{route.port}"
    if not association.is_established:
        raise PeerError(f"{where} takes no association for the report")
    try:
        if not _send(association, report, report.information(request.own_title)):
            raise PeerError(f"{where} did not take the report")
    finally:
        if association.is_established:
            association.release()
