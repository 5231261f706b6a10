"""Commitment reports on their way: on the association of the request while it lasts, else on our own, with retries.

Reports that are under way live in memory: a node that ends forgets them. The requestor, which gets no report, asks
again, and the answer is read from the archive anew.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel

from mripacs.core.errors import PeerError, QueryError
from mripacs.core.settings import Destination
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from mripacs.dimse import commitment, statuses
from mripacs.dimse.commitment import CommitmentReport, CommitmentRequest
from mripacs.dimse.event_sending import send_event_report
from mripacs.dimse.sockets import NO_DELAY

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)

# A requestor that only wants to hand its request over releases the association right after the response; a report sent
# into that would meet the release. One that waits loses this much.
MOMENT_S = 0.5
RETRY_AFTER_S = (5.0, 60.0, 600.0, 3600.0)
MAX_PENDING = 64  # requests being answered at once; one more is told to come back later
CONNECTION_TIMEOUT_S = 30.0
RESOURCE_LIMITATION = 0x0213  # PS3.7 C.5.15


class CommitmentProvider:
    """Answers N-ACTION and sends the reports. Thread-safe; `close` forgets what is pending."""

    def __init__(
        self,
        archive: Archive,
        destinations: Mapping[str, Destination],
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
    ) -> None:
        self._archive = archive
        self._destinations = destinations
        self._retry_after_s = retry_after_s
        self._slots = threading.BoundedSemaphore(MAX_PENDING)
        self._closed = threading.Event()

    def handle_action(self, event: evt.Event) -> tuple[int | Dataset, None]:
        """PS3.4 J.3.2: success means that a report will follow."""
        if str(event.request.RequestedSOPInstanceUID) != commitment.SOP_INSTANCE:
            return commitment.NO_SUCH_SOP_INSTANCE, None
        if event.request.ActionTypeID != commitment.REQUEST_COMMITMENT:
            return commitment.NO_SUCH_ACTION, None
        try:
            request = commitment.read_request(event)
        except QueryError as error:
            log.warning("commitment request of %r refused: %s", event.assoc.requestor.ae_title, error)
            return commitment.INVALID_ARGUMENT, None
        if not self._slots.acquire(blocking=False):
            return RESOURCE_LIMITATION, None
        threading.Thread(target=self._answer, args=(event.assoc, request), name="commitment", daemon=True).start()
        return statuses.SUCCESS, None

    def close(self) -> None:
        """Send nothing more."""
        self._closed.set()

    def _answer(self, association: Association, request: CommitmentRequest) -> None:
        requestor, own_title = association.requestor.ae_title.strip(), association.acceptor.ae_title.strip()
        try:
            report = CommitmentReport.on(self._archive, request)
            information = report.information(own_title)
            log.info(
                "commitment %s of %r: %d promised, %d not",
                request.transaction_uid, requestor, len(report.committed), len(report.failed),
            )  # fmt: skip
            if not self._closed.wait(MOMENT_S) and not _send(association, report, information):
                self._call_back(requestor, own_title, report, information)
        except Exception as error:  # noqa: BLE001 - a thread of its own: nobody else would tell
            log.error("commitment %s of %r failed: %s", request.transaction_uid, requestor, type(error).__name__)
        finally:
            self._slots.release()

    def _call_back(self, requestor: str, own_title: str, report: CommitmentReport, information: Dataset) -> None:
        """Report on an association of our own, with retries."""
        destination = self._destinations.get(requestor)
        if destination is None:
            log.warning("commitment %s: %r left and is no known destination", report.transaction_uid, requestor)
            return
        for delay in (*self._retry_after_s, None):
            try:
                _report_to(destination, requestor, own_title, report, information)
            except PeerError as error:
                log.warning("commitment %s is not reported yet: %s", report.transaction_uid, error)
            else:
                return
            if delay is None or self._closed.wait(delay):
                break
        log.error("commitment %s of %r was never reported", report.transaction_uid, requestor)


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


def _report_to(
    destination: Destination, requestor: str, own_title: str, report: CommitmentReport, information: Dataset
) -> None:
    """One attempt. Raises PeerError."""
    entity = AE(ae_title=own_title)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = CONNECTION_TIMEOUT_S
    association = entity.associate(
        destination.host,
        destination.port,
        contexts=[build_context(StorageCommitmentPushModel, list(NATIVE_SYNTAXES))],
        ae_title=requestor,
        ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],  # PS3.4 J.3.3: we stay the SCP
        evt_handlers=[NO_DELAY],
    )
    where = f"{requestor} at {destination.host}:{destination.port}"
    if not association.is_established:
        raise PeerError(f"{where} takes no association for the report")
    try:
        if not _send(association, report, information):
            raise PeerError(f"{where} did not take the report")
    finally:
        if association.is_established:
            association.release()
