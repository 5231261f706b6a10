"""What happens to an object whose SOP Instance UID is stored with other content: `[archive] on_conflict`."""

from __future__ import annotations

import hashlib
import logging

from mripacs.core.errors import ConflictError
from mripacs.core.model import InstanceIdentity, ReceivedFrom, ReceivedObject
from mripacs.store import Store

log = logging.getLogger(__name__)


def refuse(stored: InstanceIdentity, received: ReceivedObject) -> ConflictError:
    """The error for a newcomer that is not taken."""
    return ConflictError(f"another object is stored under {received.sop_instance_uid}: {_digests(stored, received)}")


def is_same(stored: InstanceIdentity, received: ReceivedObject) -> bool:
    """Whether the very bytes came that the stored instance was made of, going by its certificate alone."""
    return hashlib.sha256(received.dataset).hexdigest() == stored.certificate.received_digest


def keep(store: Store, stored: InstanceIdentity, received: ReceivedObject, source: ReceivedFrom) -> None:
    """Note that the stored object stays and that the newcomer, though acknowledged, was not stored."""
    detail = _digests(stored, received)
    log.warning("acknowledged but not stored, another object has its UID: %s: %s", received.sop_instance_uid, detail)
    store.record("conflict", source=source, uid=received.sop_instance_uid, outcome="kept", detail=detail)


def _digests(stored: InstanceIdentity, received: ReceivedObject) -> str:
    digest = hashlib.sha256(received.dataset).hexdigest()
    return f"SHA-256 {stored.certificate.received_digest} is kept, {digest} is refused"
