"""What the DICOM side can do, read off the tables and modules that do it: for the conformance statement.

Nothing is listed here a second time: services come from `negotiation`, the user's from what `client` imports, refusals
from `access`, statuses from the error tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom import AE

from mripacs.audit.message import AuditEvent
from mripacs.core.errors import MripacsError, PeerError, QueryError, RefusedError, StoreError, UnknownDestinationError
from mripacs.dimse import access, client, commitment, statuses
from mripacs.dimse.access import Rejection
from mripacs.dimse.negotiation import QUERY_SYNTAXES, SERVICES, STORAGE_CLASSES, is_storage_class

__all__ = ["AuditEvent"]


@dataclass(frozen=True, slots=True)
class SopClass:
    """A SOP class and the roles that the node takes for it."""

    uid: str
    name: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class Status:
    """A status of a response: its code, and when it is sent."""

    code: int
    meaning: str


def service_classes() -> list[SopClass]:
    """SOP classes other than storage. The SCU's side is that of `mripacs echo`, `find` and `get`."""
    used = {str(value) for value in vars(client).values() if isinstance(value, UID)}
    served = [str(uid) for uid in SERVICES]
    uids = [*served, *sorted(used - set(served))]
    return [SopClass(uid, uid_name(uid), uid in used, uid in served) for uid in uids if not is_storage_class(uid)]


def storage_classes() -> list[SopClass]:
    """The storage classes known by name. Private ones are taken as they are proposed, in both roles, like these."""
    known = [SopClass(uid, uid_name(uid), scu=True, scp=True) for uid in STORAGE_CLASSES]
    return sorted(known, key=lambda sop_class: sop_class.name)


def query_syntaxes() -> list[str]:
    """Transfer syntaxes of all contexts that are not storage, as they are preferred."""
    return [str(uid) for uid in QUERY_SYNTAXES]


def uid_name(uid: str) -> str:
    """A UID's name in PS3.6; the UID itself where it has none."""
    return str(UID(uid).name)


def implementation() -> tuple[str, str]:
    """Implementation Class UID and Version Name of associations (PS3.7 D.3.3.2)."""
    entity = AE()
    return str(entity.implementation_class_uid), str(entity.implementation_version_name or "")


def rejections() -> list[Rejection]:
    """Why an association is rejected, with result, source and diagnostic (PS3.8 Table 9-21)."""
    return [value for value in vars(access).values() if isinstance(value, Rejection)]


def errors_below(*roots: type[MripacsError]) -> Iterator[type[MripacsError]]:
    """The error classes of a part of the tree, each root first."""
    for root in roots:
        yield root
        yield from errors_below(*root.__subclasses__())


# What a handler of each service can meet; `MripacsError` itself stands for a defect of the node.
_MET: Mapping[str, tuple[type[MripacsError], ...]] = {
    "C-STORE": (RefusedError, StoreError),
    "C-FIND": (QueryError, StoreError),
    "C-GET": (QueryError, StoreError),
    "C-MOVE": (QueryError, StoreError, UnknownDestinationError),
}
_PENDING = (
    Status(statuses.PENDING, "Pending: a match or a sub-operation."),
    Status(statuses.CANCEL, "Cancelled by the requestor."),
)
_OF_SERVICE: Mapping[str, tuple[Status, ...]] = {
    "C-ECHO": (),
    "C-STORE": (),
    "C-FIND": (
        *_PENDING,
        Status(statuses.PENDING_UNSUPPORTED_KEYS, "Pending: a match; some optional keys were not matched."),
    ),
    "C-GET": _PENDING,
    "C-MOVE": _PENDING,
    "N-ACTION (Storage Commitment)": (
        Status(commitment.NO_SUCH_SOP_INSTANCE, "Not the well-known SOP Instance of PS3.4 J.3.5."),
        Status(commitment.NO_SUCH_ACTION, "An action type other than 1."),
        Status(commitment.INVALID_ARGUMENT, "The action information cannot be read."),
        Status(commitment.RESOURCE_LIMITATION, "Too many requests are under way; come back later."),
        Status(commitment.PROCESSING_FAILURE, "The request could not be written down."),
    ),
}


def service_statuses() -> dict[str, list[Status]]:
    """Every status that a service's responses can have, success first."""
    return {
        service: [Status(statuses.SUCCESS, "Success."), *own, *_error_statuses(service)]
        for service, own in _OF_SERVICE.items()
    }


def _error_statuses(service: str) -> list[Status]:
    if service not in _MET:
        return []
    failures = [Status(error.dimse_status, summary(error)) for error in errors_below(*_MET[service])]
    return [*failures, Status(statuses.UNABLE_TO_PROCESS, "Unable to process: a defect of the node.")]


def commitment_failures() -> list[Status]:
    """Values of Failure Reason (0008,1197) in reports of storage commitment."""
    return [
        Status(commitment.PROCESSING_FAILURE, "Known, but what was received cannot be given back byte for byte."),
        Status(commitment.NO_SUCH_INSTANCE, "No such instance is stored."),
        Status(commitment.CLASS_INSTANCE_CONFLICT, "The instance is stored under another SOP class."),
    ]


def summary(error: type[MripacsError]) -> str:
    """The first line of an error's docstring: what it says to people."""
    return (error.__doc__ or "").partition("\n")[0].strip()


def peer_errors() -> list[type[MripacsError]]:
    """What the node's own requests can meet."""
    return list(errors_below(PeerError))
