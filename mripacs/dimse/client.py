"""Small service class users: echo, send, find, get. For `mripacs echo|send|find|get`, the demo and health checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from mripacs.core.errors import MripacsError, PeerError
from mripacs.core.model import Outgoing, ReceivedObject
from mripacs.core.tls_contexts import ClientTls
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from mripacs.dimse import identifiers, messages, raw_send
from mripacs.dimse.handlers import MAX_CONTEXTS
from mripacs.dimse.requesting import DirectEntity
from mripacs.dimse.sockets import NO_DELAY

PENDING = frozenset({0xFF00, 0xFF01})
NO_ANSWER = "no answer: the association ended"
GET_CLASSES = 120  # storage classes proposed for a C-GET: 128 contexts less some for the query


@dataclass(frozen=True, slots=True)
class Peer:
    """Another application entity, and the title that we call ourselves."""

    host: str
    port: int
    ae_title: str = "MRIPACS"
    calling_ae: str = "MRIPACS-SCU"
    timeout_s: float = 30.0
    tls: ClientTls | None = None  # None: plain DICOM

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SendResult:
    """What the peer said of one object: the status of its C-STORE response and its comment, or our own error."""

    sop_instance_uid: str
    status: int | None
    comment: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the peer took the object."""
        return self.status in raw_send.SUCCESSES


def echo(peer: Peer) -> None:
    """C-ECHO. Raises PeerError unless the peer answers success."""
    with associated(peer, [build_context(Verification)]) as association:
        _check(peer, association.send_c_echo(), "C-ECHO")


def send(peer: Peer, objects: Iterable[ReceivedObject]) -> Iterator[SendResult]:
    """C-STORE each object with its bytes as they are; gives the answers in order. Raises PeerError."""
    raw_send.install()
    batch = list(objects)
    proposals = list(dict.fromkeys((item.sop_class_uid, item.transfer_syntax) for item in batch))
    contexts = [build_context(uid, [syntax]) for uid, syntax in proposals][:MAX_CONTEXTS]
    if not contexts:
        return
    with associated(peer, contexts) as association:
        for number, item in enumerate(batch):
            result = _send_one(association, item)
            if result is None:  # pynetdicom may take a dead association for a living one, and wait for a minute
                yield from (SendResult(rest.sop_instance_uid, None, NO_ANSWER) for rest in batch[number:])
                return
            yield result


def _send_one(association: Association, item: ReceivedObject) -> SendResult | None:
    """The answer, or why it could not be sent; None when the association ended without an answer."""
    try:
        status = association.send_c_store(raw_send.RawInstance.of(item))
    except (ValueError, RuntimeError, AttributeError, MripacsError) as error:  # what send_c_store documents, and ours
        return SendResult(item.sop_instance_uid, None, str(error))
    if "Status" not in status:
        return None
    return SendResult(item.sop_instance_uid, int(status.Status), str(status.get("ErrorComment", "")))


def find(peer: Peer, level: str, keys: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """C-FIND in the study root model; gives each match by keyword. Raises PeerError."""
    request = identifiers.request_identifier(level, keys)
    with associated(
        peer, [build_context(StudyRootQueryRetrieveInformationModelFind, list(NATIVE_SYNTAXES))]
    ) as association:
        for status, match in association.send_c_find(request, StudyRootQueryRetrieveInformationModelFind):
            if "Status" in status and status.Status in PENDING:
                yield identifiers.matching_keys(match)
            else:
                _check(peer, status, "C-FIND")


def get(
    peer: Peer, level: str, keys: Mapping[str, str], sop_classes: Iterable[str], receive: Callable[[Outgoing], None]
) -> dict[str, int]:
    """C-GET in the study root model; calls `receive` for each instance, whose bytes are as they came.

    sop_classes : storage classes to accept, 120 at most.
    Gives the numbers of completed, failed and warning sub-operations. Raises PeerError.
    """
    classes = list(dict.fromkeys(sop_classes))[:GET_CLASSES]
    model = StudyRootQueryRetrieveInformationModelGet
    contexts = [build_context(model), *(build_context(uid, list(NATIVE_SYNTAXES)) for uid in classes)]
    roles = [build_role(uid, scp_role=True) for uid in classes]
    counts = {"completed": 0, "failed": 0, "warning": 0}
    with associated(peer, contexts, roles=roles, handlers=[(evt.EVT_C_STORE, taking(receive))]) as association:
        for status, _ in association.send_c_get(identifiers.request_identifier(level, keys), model):
            if "Status" not in status:
                _check(peer, status, "C-GET")
            for kind, so_far in counts.items():
                counts[kind] = int(status.get(f"NumberOf{kind.capitalize()}Suboperations", so_far) or 0)
            if status.Status not in PENDING | raw_send.SUCCESSES:
                _check(peer, status, "C-GET")
    return counts


def taking(receive: Callable[[Outgoing], None]) -> Callable[[evt.Event], int]:
    """A handler of EVT_C_STORE for the sub-operations of a C-GET: hands on each instance, its bytes as they came."""

    def store(event: evt.Event) -> int:
        request = event.request
        uids = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        receive(Outgoing(*uids, str(event.context.transfer_syntax), request.DataSet.getvalue()))
        return 0x0000

    return store


def _check(peer: Peer, status: Dataset, service: str) -> None:
    if "Status" not in status:
        raise PeerError(f"{peer} ended the association during {service}")
    if status.Status != 0x0000:
        comment = status.get("ErrorComment", "")
        raise PeerError(f"{peer} answered {service} with status 0x{status.Status:04X} {comment}".rstrip())


@contextmanager
def associated(
    peer: Peer,
    contexts: list[PresentationContext],
    roles: list[object] | None = None,
    handlers: list[tuple[evt.EventType, Callable[..., object]]] | None = None,
) -> Iterator[Association]:
    """An association, released in the end. Raises PeerError when the peer cannot be reached or takes no context."""
    messages.install()
    entity = DirectEntity(ae_title=peer.calling_ae)
    entity.connection_timeout = entity.acse_timeout = peer.timeout_s
    entity.dimse_timeout = entity.network_timeout = max(peer.timeout_s, 60.0)
    association = entity.associate(
        peer.host,
        peer.port,
        contexts=contexts,
        ae_title=peer.ae_title,
        ext_neg=roles or [],
        tls_args=(peer.tls.context(), peer.host) if peer.tls else None,
        evt_handlers=[NO_DELAY, *(handlers or [])],
    )
    if not association.is_established:
        reason = (
            "rejected the association"
            if association.is_rejected
            else "cannot be reached or takes none of what we propose"
        )
        raise PeerError(f"{peer} {reason}")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
