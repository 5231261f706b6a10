"""Handlers that tell the audit trail what they did: wrapped around those that do it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from pynetdicom import evt

from mripacs.audit.message import AuditEvent, AuditRecord, Outcome, Participant
from mripacs.audit.trail import AuditTrail
from mripacs.core.errors import QueryError
from mripacs.dimse import raw_send, statuses
from mripacs.dimse.request_keys import read_keys

Handler = Callable[[evt.Event], Any]
STORED = "_mripacs_stored"  # attribute of an association: UIDs of the instances stored over it


def audited(handlers: list[tuple[Any, Handler]], trail: AuditTrail) -> list[tuple[Any, Handler]]:
    """The handlers, those of storage, query and retrieve with an audit record after each request.

    Instances that were stored are told at the end of their association, in one record.
    """
    wrappers: dict[Any, Callable[[Handler, AuditTrail], Handler]] = {
        evt.EVT_C_FIND: _audited_find,
        evt.EVT_C_GET: _audited_retrieve,
        evt.EVT_C_MOVE: _audited_retrieve,
    }
    if trail.wants_stored:
        wrappers[evt.EVT_C_STORE] = _audited_store
    wrapped = [
        (event, wrappers[event](handler, trail) if event in wrappers else handler) for event, handler in handlers
    ]
    ends = [(event, _tell_stored(trail)) for event in (evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE)]
    return wrapped + ends if trail.wants_stored else wrapped


def participants(event: evt.Event) -> tuple[Participant, Participant]:
    """The requestor of an event's association, and we."""
    requestor, acceptor = event.assoc.requestor, event.assoc.acceptor
    calling = requestor.ae_title or requestor.primitive.calling_ae_title
    return (
        Participant(calling.strip(), requestor.address),
        Participant(acceptor.ae_title.strip(), acceptor.address),
    )


def _audited_store(handler: Handler, _: AuditTrail) -> Handler:
    def store(event: evt.Event) -> Any:
        status = handler(event)
        if status == statuses.SUCCESS:
            vars(event.assoc).setdefault(STORED, []).append(str(event.request.AffectedSOPInstanceUID))
        return status

    return store


def _tell_stored(trail: AuditTrail) -> Handler:
    def tell(event: evt.Event) -> None:
        stored = vars(event.assoc).pop(STORED, None)
        if stored:
            peer, ours = participants(event)
            trail.record(AuditRecord(AuditEvent.INSTANCES_RECEIVED, Outcome.SUCCESS, peer, ours, peer), stored)

    return tell


def _audited_find(handler: Handler, trail: AuditTrail) -> Handler:
    def find(event: evt.Event) -> Generator[Any, None, None]:
        matches, failed = 0, False
        try:
            for answer in handler(event):
                matches += _is_pending(answer)
                failed = failed or not (_is_pending(answer) or answer[0] == statuses.CANCEL)
                yield answer
        finally:
            peer, ours = participants(event)
            outcome = Outcome.MINOR_FAILURE if failed else Outcome.SUCCESS
            words = f"{_asked(event)}: {matches} matches"
            uid = str(event.request.AffectedSOPClassUID)
            trail.record(AuditRecord(AuditEvent.QUERY, outcome, peer, ours, peer, sop_class_uid=uid, description=words))

    return find


def _audited_retrieve(handler: Handler, trail: AuditTrail) -> Handler:
    def retrieve(event: evt.Event) -> Generator[Any, None, None]:
        offered: list[raw_send.RawInstance] = []
        try:
            for answer in handler(event):
                if isinstance(answer, tuple) and isinstance(answer[-1], raw_send.RawInstance):
                    offered.append(answer[-1])
                yield answer
        finally:
            trail.record(*_retrieval(event, offered))

    return retrieve


def _retrieval(event: evt.Event, offered: list[raw_send.RawInstance]) -> tuple[AuditRecord, list[str]]:
    """What a C-GET or C-MOVE did: the instances that the other side took."""
    peer, ours = participants(event)
    destination = str(getattr(event.request, "MoveDestination", None) or "").strip()
    sent = [str(instance.SOPInstanceUID) for instance in offered if instance.was_sent]
    outcome = Outcome.SUCCESS if sent and len(sent) == len(offered) else Outcome.MINOR_FAILURE
    words = f"{len(sent)} of {len(offered)} sent" + (f" to {destination}" if destination else "")
    receiver = Participant(destination, "") if destination else peer
    return AuditRecord(AuditEvent.INSTANCES_SENT, outcome, ours, receiver, peer, description=words), sent


def _is_pending(answer: Any) -> bool:
    return answer[0] in (statuses.PENDING, statuses.PENDING_UNSUPPORTED_KEYS)


def _asked(event: evt.Event) -> str:
    """Level and keywords of a query, without the values."""
    try:
        keys = read_keys(event).texts
    except QueryError:
        return "an identifier that cannot be read"
    matched = sorted(keyword for keyword, value in keys.items() if value and keyword != "QueryRetrieveLevel")
    return f"{keys.get('QueryRetrieveLevel', '')[:16]} by {', '.join(matched) or 'nothing'}"
