"""What was asked for and given out, for the audit trail: as on the DICOM door, UIDs and keywords, never values."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request

from mripacs.audit.message import AuditEvent, AuditRecord, Outcome, Participant, StudyContent
from mripacs.audit.trail import AuditTrail, add_instance
from mripacs.core.model import InstanceIdentity
from mripacs.dicomweb.access import caller_of
from mripacs.dicomweb.search_keys import Search

DOOR = "DICOMweb"


def audit_search(request: Request, asked: Search, matches: int) -> None:
    """A search was answered."""
    matched = sorted({match.keyword for match in asked.query.matches})
    words = f"{asked.query.level} by {', '.join(matched) or 'nothing'}: {matches} matches"
    peer, ours = _participants(request)
    _trail(request).record(AuditRecord(AuditEvent.QUERY, Outcome.SUCCESS, peer, ours, peer, description=words))


def audit_retrieve(request: Request, identities: Iterable[InstanceIdentity], what: str) -> None:
    """Instances are given out, wholly or in part: `what` says which."""
    peer, ours = _participants(request)
    studies: dict[str, StudyContent] = {}
    for identity in identities:
        add_instance(studies, identity.study_instance_uid, identity.sop_class_uid, identity.sop_instance_uid)
    _trail(request).record(
        AuditRecord(AuditEvent.INSTANCES_SENT, Outcome.SUCCESS, ours, peer, peer, studies, description=what)
    )


def audit_stored(request: Request, uids: Iterable[str]) -> None:
    """Instances were stored; their events in the database are those of their commits."""
    trail = _trail(request)
    if trail.wants_stored:
        peer, ours = _participants(request)
        trail.record(AuditRecord(AuditEvent.INSTANCES_RECEIVED, Outcome.SUCCESS, peer, ours, peer), list(uids))


def _trail(request: Request) -> AuditTrail:
    trail: AuditTrail = request.app.state.trail
    return trail


def _participants(request: Request) -> tuple[Participant, Participant]:
    caller = caller_of(request)
    host, _ = request.scope.get("server") or ("", 0)
    return Participant(caller.name, caller.address), Participant(DOOR, str(host))
