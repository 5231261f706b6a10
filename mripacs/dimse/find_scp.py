"""C-FIND as SCP: matches as bytes, several responses in one system call (PS3.4 C.4.1, PS3.7 9.1.2).

pynetdicom makes each response a data set, a primitive, a message and PDU objects, and sends each by itself: 0.3 ms of
processor time a match, 0.02 here. `QueryRetrieveServiceClass._c_find_scp` is the seam; a handler may yield identifiers
as bytes in the context's transfer syntax, or data sets as before. Over another upper layer than ours every response
goes pynetdicom's way out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import encode
from pynetdicom.service_class import QueryRetrieveServiceClass

from mripacs.dimse import messages, statuses
from mripacs.dimse.upper_layer import DirectUpperLayer

log = logging.getLogger(__name__)

HANDLER_FAILED, NOT_ENCODABLE = 0xC311, 0xC312  # as pynetdicom answers; PS3.4 Table C.4-1: unable to process
PENDING = frozenset({statuses.PENDING, statuses.PENDING_UNSUPPORTED_KEYS})
# Matches wait for more of them up to this size, or this time: what leaves together costs one call and one wake-up.
BATCH_BYTES = 2**16
BATCH_S = 0.02


class _Responses:
    """The responses to one request."""

    def __init__(self, service: Any, request: C_FIND, context: Any) -> None:
        self._service, self._request = service, request
        self._dimse, self._context_id = service.dimse, context.context_id
        self._syntax: UID = context.transfer_syntax[0]
        self._parts: list[bytes | memoryview] = []
        self._size, self._since = 0, time.monotonic()
        dul = service.assoc.dul
        self._gathers = (
            isinstance(dul, DirectUpperLayer) and dul.is_unwatched() and not messages.is_watched(service.assoc)
        )

    def match(self, status: int, identifier: bytes | Dataset) -> bool:
        """A pending response; False when the identifier cannot be encoded."""
        content = identifier if isinstance(identifier, bytes) else self._encoded(identifier)
        if not content:
            return False
        if not self._gather(status, content):
            response = self._response()
            response.Status, response.Identifier = status, BytesIO(content)
            self._dimse.send_msg(response, self._context_id)
        elif self._size >= BATCH_BYTES or time.monotonic() - self._since >= BATCH_S:
            self.flush()
        return True

    def flush(self, *, later: bool = False) -> None:
        """Send what waits; `later` with what is sent next."""
        if self._parts:
            self._dimse.send_pdus([b"".join(self._parts)], later=later)
        self._parts, self._size, self._since = [], 0, time.monotonic()

    def end(self, status: int | Dataset) -> None:
        """The final response, in one call with the last matches: the peer wakes up once."""
        if status == statuses.SUCCESS and self._gather(statuses.SUCCESS, b""):
            self.flush()
            return
        self.flush(later=True)
        response = self._response()
        self._service.validate_status(status, response)
        self._dimse.send_msg(response, self._context_id)

    def _response(self) -> C_FIND:
        response = C_FIND()
        response.MessageIDBeingRespondedTo = self._request.MessageID
        response._affected_sop_class_uid = self._request.AffectedSOPClassUID  # checked when it came
        return response

    def _gather(self, status: int, identifier: bytes) -> bool:
        """Keep a response for the next call that sends; False when each has to leave in pynetdicom's way."""
        request, limit = self._request, self._dimse.maximum_pdu_size
        command = _command(request.AffectedSOPClassUID, request.MessageID, status, bool(identifier))
        if not self._gathers or command is None or 0 < limit < len(command) + messages.PDV_HEADER_BYTES:
            return False
        self._parts += messages.pdus(self._context_id, command, identifier, limit)
        self._size += len(identifier) + len(command)
        return True

    def _encoded(self, identifier: Dataset) -> bytes | None:
        syntax = self._syntax
        content: bytes | None = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        return content


@lru_cache(256)
def _command(sop_class_uid: UID, message_id: int, status: int, with_identifier: bool) -> bytes | None:
    """The command set of a response, None where `messages` cannot write it; clients begin to count at 1 each time."""
    response = C_FIND()
    response.MessageIDBeingRespondedTo, response.Status = message_id, status
    response._affected_sop_class_uid = sop_class_uid
    return messages.encode_command(response, messages.FORMS[C_FIND, True], with_dataset=with_identifier)


def _find_scp(self: QueryRetrieveServiceClass, request: C_FIND, context: Any) -> None:
    responses = _Responses(self, request, context)
    try:
        final = _answer(self, request, context, responses)
    except Exception as error:  # noqa: BLE001 - a defect of somebody's handler: a failure status, no dead association
        log.error("a handler of C-FIND failed: %s", type(error).__name__)
        final = HANDLER_FAILED
    if final is not None and self.assoc.is_established:
        responses.end(final)


def _answer(service: Any, request: C_FIND, context: Any, responses: _Responses) -> int | Dataset | None:
    """Send the matches; gives the final status, None when the association has ended."""
    for status, identifier in _results(service, request, context):
        if not service.assoc.is_established or service.assoc.acse.is_aborted():
            return None
        code = status if isinstance(status, int) else status.get("Status")
        if code not in PENDING:
            final: int | Dataset = status
            return final
        if identifier is None or not responses.match(code, identifier):
            return NOT_ENCODABLE
    return statuses.SUCCESS


def _results(service: Any, request: C_FIND, context: Any) -> Iterator[tuple[int | Dataset, bytes | Dataset | None]]:
    attributes = {"request": request, "context": context.as_tuple, "_is_cancelled": service.is_cancelled}
    return iter(evt.trigger(service.assoc, evt.EVT_C_FIND, attributes) or ())


def install() -> None:
    """Put it in place; calling it again changes nothing."""
    QueryRetrieveServiceClass._c_find_scp = _find_scp
