"""Event handlers that answer C-ECHO, C-STORE, C-FIND, C-GET and C-MOVE from an archive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.presentation import PresentationContext, build_context

from mripacs.core.errors import ObjectTooLargeError
from mripacs.core.model import InstanceIdentity, ReceivedObject
from mripacs.core.settings import Destination
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from mripacs.dimse import find_scp, messages, move_check, raw_send, service_classes, statuses, timers
from mripacs.dimse.destinations import Route, routes
from mripacs.dimse.negotiation import accept_echo, accept_relational_queries, accept_storage_contexts
from mripacs.dimse.receiving import bounded_receiving, dataset_bytes
from mripacs.dimse.replies import KEEP_REPLIES
from mripacs.dimse.reporting import CommitmentProvider
from mripacs.dimse.request_keys import read_keys
from mripacs.dimse.response_identifiers import ResponseIdentifiers
from mripacs.dimse.sockets import NO_DELAY
from mripacs.retrieve.fetch import syntaxes_of
from mripacs.retrieve.matching import parse_query, parse_selection

if TYPE_CHECKING:
    from mripacs.archive import Archive

log = logging.getLogger(__name__)
Answer = tuple[int | Dataset, Dataset | bytes | None]
MAX_CONTEXTS = 128  # presentation context IDs are the odd numbers to 255 (PS3.8 9.3.2.2)


def evt_handlers(
    archive: Archive,
    destinations: Mapping[str, Destination] | None = None,
    commitment: CommitmentProvider | None = None,
) -> list[tuple[evt.EventType, Callable[..., Any]]]:
    """Handlers for `AE.start_server(evt_handlers=...)`: storage, query and retrieve from `archive`.

    destinations : AE titles that C-MOVE and reports on storage commitment may be sent to; the archive's settings where
        it is None.
    commitment : who answers requests for storage commitment; made here where it is None.
    Raises SettingsError when a file of a destination's TLS is wrong.
    Storage contexts are accepted as they are proposed; add contexts for Verification, Query/Retrieve and
    Storage Commitment to the AE.
    """
    find_scp.install()
    raw_send.install()
    move_check.install()
    service_classes.install()
    timers.install()
    messages.install()
    settings = archive.settings.dimse
    known = routes(settings.destinations if destinations is None else destinations, settings.tls)
    return [
        NO_DELAY,
        bounded_receiving(archive.settings.limits.max_object_bytes),
        (evt.EVT_REQUESTED, accept_storage_contexts),
        (evt.EVT_SOP_EXTENDED, accept_relational_queries),
        (evt.EVT_C_ECHO, accept_echo),
        (evt.EVT_C_STORE, _bind(_handle_store, archive)),
        (evt.EVT_C_FIND, _bind(_handle_find, archive)),
        (evt.EVT_C_GET, _bind(_handle_get, archive)),
        (evt.EVT_C_MOVE, _bind(_handle_move, archive, known)),
        (evt.EVT_N_ACTION, (commitment or CommitmentProvider(archive, known)).handle_action),
    ]


def _bind(handler: Callable[..., Any], *arguments: Any) -> Callable[[evt.Event], Any]:
    def bound(event: evt.Event) -> Any:
        return handler(event, *arguments)

    return bound


def _handle_store(event: evt.Event, archive: Archive) -> int | Dataset:
    """PS3.4 B.2: success only after the commit, by the raw bytes of the request."""
    try:
        archive.accept(_received(event))
    except Exception as error:  # noqa: BLE001 - a defect must be a failure status, not a dead association
        return statuses.failure(error, f"storage of {event.request.AffectedSOPInstanceUID}")
    return statuses.SUCCESS


def _received(event: evt.Event) -> ReceivedObject:
    request, requestor = event.request, event.assoc.requestor
    uid = str(request.AffectedSOPInstanceUID or "")
    try:
        dataset = dataset_bytes(request.DataSet)
    except ObjectTooLargeError as error:
        log.warning("refused %s from %s: %s", uid, requestor.ae_title, error)
        raise
    return ReceivedObject(
        dataset=dataset,
        transfer_syntax=str(event.context.transfer_syntax),
        sop_class_uid=str(request.AffectedSOPClassUID or ""),
        sop_instance_uid=uid,
        source="C-STORE",
        calling_ae=requestor.ae_title,
        called_ae=event.assoc.acceptor.ae_title,
        peer=f"{requestor.address}:{requestor.port}",
    )


def _handle_find(event: evt.Event, archive: Archive) -> Iterator[Answer]:
    """PS3.4 C.4.1: one pending response for each match, until cancelled."""
    try:
        request = read_keys(event)
        level = request.level
        query = parse_query(level, request.texts)
        pending = statuses.PENDING if archive.supports(query) else statuses.PENDING_UNSUPPORTED_KEYS
        responses = ResponseIdentifiers(request, level, event.assoc.acceptor.ae_title, event.context.transfer_syntax)
        for row in archive.query(query):
            if event.is_cancelled:
                yield statuses.CANCEL, None
                return
            yield pending, responses.encoded(row)
    except Exception as error:  # noqa: BLE001 - as above
        yield statuses.failure(error), None


def _selected(event: evt.Event, archive: Archive) -> list[InstanceIdentity]:
    request = read_keys(event)
    return archive.select(parse_selection(request.level, request.texts))


def _handle_get(event: evt.Event, archive: Archive) -> Iterator[Any]:
    """PS3.4 C.4.3: the number of sub-operations, then the instances over this association."""
    try:
        instances = _selected(event, archive)
    except Exception as error:  # noqa: BLE001 - as above
        yield 1
        yield statuses.failure(error), None
        return
    yield len(instances)
    yield from _sub_operations(event, archive, instances)


def _handle_move(event: evt.Event, archive: Archive, destinations: Mapping[str, Route]) -> Iterator[Any]:
    """PS3.4 C.4.2: the destination and its contexts, the number of sub-operations, then the instances."""
    title = (event.request.MoveDestination or "").strip()
    destination = destinations.get(title)
    if destination is None:
        log.warning("C-MOVE to unknown destination %r refused", title)
        yield None, None  # pynetdicom answers 0xA801
        return
    try:
        instances = _selected(event, archive)
    except Exception as error:
        statuses.failure(error)  # logged; pynetdicom answers 0xC514, identifiers were checked before
        raise
    how = {
        "contexts": _proposals(instances),
        "tls_args": destination.tls_args,
        "evt_handlers": [NO_DELAY, KEEP_REPLIES],
    }
    yield destination.host, destination.port, how
    yield len(instances)
    yield from _sub_operations(event, archive, instances)


def _sub_operations(event: evt.Event, archive: Archive, instances: Sequence[InstanceIdentity]) -> Iterator[Answer]:
    """A pending answer for each instance; one that cannot be fetched or sent counts as failed, by its UID."""
    for fetched in archive.fetch_many(instances):
        if event.is_cancelled:
            yield statuses.CANCEL, None
            return
        identity = fetched.identity
        yield (
            statuses.PENDING,
            raw_send.RawInstance(identity.sop_class_uid, identity.sop_instance_uid, fetched.encoded),
        )


def _proposals(instances: Iterable[InstanceIdentity]) -> list[PresentationContext]:
    """Contexts for a C-MOVE: for each SOP class one with the native syntaxes, and its instances' own one by one.

    A peer accepts one syntax of each context, of several native ones the one it likes best (storescp +xa: deflated);
    an instance's own syntax must stand alone, or its received bytes could not leave.
    """
    pairs = dict.fromkeys((identity.sop_class_uid, syntaxes_of(identity)[0]) for identity in instances)
    native = [build_context(uid, list(NATIVE_SYNTAXES)) for uid in dict.fromkeys(uid for uid, _ in pairs)]
    own = [build_context(uid, [syntax]) for uid, syntax in pairs]
    return (native + own)[:MAX_CONTEXTS]
