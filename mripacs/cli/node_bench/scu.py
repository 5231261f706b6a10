"""C-STORE, C-FIND, C-GET and C-MOVE as a client that measures: what it sends is encoded before the clock runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mripacs.cli.node_bench import command_set as fields
from mripacs.cli.node_bench.command_set import encode_command, encode_identifier, number_of
from mripacs.cli.node_bench.sink import MoveSink, store_response
from mripacs.cli.node_bench.upper_layer import Association, Message, Proposal
from mripacs.core.errors import PeerError
from mripacs.core.model import ReceivedObject

VERIFICATION = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))  # study root
WARNINGS = frozenset({0xB000, 0xB006, 0xB007})
QUERY_LEVEL = 0x00080052
STUDY_UID, SERIES_UID, INSTANCE_UID = 0x0020000D, 0x0020000E, 0x00080018


@dataclass(frozen=True, slots=True)
class Entity:
    """A server as a DICOM client knows it."""

    name: str
    port: int
    title: str


_ECHO = encode_command(
    {
        fields.AFFECTED_SOP_CLASS: VERIFICATION,
        fields.COMMAND_FIELD: fields.C_ECHO_RQ,
        fields.MESSAGE_ID: 1,
        fields.DATASET_TYPE: fields.NO_DATASET,
    }
)


def echo(entity: Entity) -> None:
    """C-ECHO over an association of its own. Raises PeerError or OSError unless it is answered with success."""
    with kept(entity) as association:
        echo_over(association)


def kept(entity: Entity) -> Association:
    """An association for C-ECHOs, a context manager. Raises PeerError or OSError when it is not accepted."""
    return Association(entity.port, entity.title, [Proposal(VERIFICATION)])


def echo_over(association: Association) -> None:
    """C-ECHO over an association of `kept`. Raises PeerError or OSError unless it is answered with success."""
    association.send(association.message(association.context(VERIFICATION), _ECHO))
    status = number_of(association.receive().command, fields.STATUS)
    if status:
        raise PeerError(f"C-ECHO is answered with 0x{status:04X}")


def store(entity: Entity, objects: Sequence[ReceivedObject], associations: int) -> float:
    """Seconds until the last of the objects is acknowledged; they are dealt out to the associations in turn.

    Opening and releasing the associations counts, encoding does not. Raises PeerError unless each is taken.
    """
    shares = [objects[index::associations] for index in range(associations)]
    together = threading.Barrier(associations + 1)
    with ThreadPoolExecutor(associations, thread_name_prefix="sender") as threads:
        running = [threads.submit(_send, entity, share, together) for share in shares]
        together.wait()
        began = time.perf_counter()
        for each in running:
            each.result()
    return time.perf_counter() - began


def find(entity: Entity, level: str, keys: Mapping[int, str]) -> int:
    """The number of matches, over an association of its own."""
    with Association(entity.port, entity.title, [Proposal(FIND)]) as association:
        _ask(association, fields.C_FIND_RQ, FIND, {QUERY_LEVEL: level, **keys})
        matches = 0
        while number_of(association.receive().command, fields.STATUS) in fields.PENDING:
            matches += 1
    return matches


def get(entity: Entity, keys: Mapping[int, str], objects: Iterable[tuple[str, str]]) -> int:
    """The number of instances that a C-GET of a series brings; `objects` are SOP classes and transfer syntaxes."""
    proposals = [Proposal(GET)]
    proposals += [Proposal(uid, tuple(dict.fromkeys((syntax, "1.2.840.10008.1.2.1"))), True) for uid, syntax in objects]
    with Association(entity.port, entity.title, proposals) as association:
        _ask(association, fields.C_GET_RQ, GET, {QUERY_LEVEL: "SERIES", **keys})
        return _take(association)


def move(entity: Entity, keys: Mapping[int, str], sink: MoveSink) -> int:
    """The number of instances that a C-MOVE of a series brings to the sink."""
    before = sink.received
    with Association(entity.port, entity.title, [Proposal(MOVE)]) as association:
        _ask(association, fields.C_MOVE_RQ, MOVE, {QUERY_LEVEL: "SERIES", **keys}, destination=sink.title)
        while number_of((answer := association.receive()).command, fields.STATUS) in fields.PENDING:
            pass
    _require_whole(answer)
    return sink.received - before


def _send(entity: Entity, objects: Sequence[ReceivedObject], together: threading.Barrier) -> None:
    pairs = dict.fromkeys((item.sop_class_uid, item.transfer_syntax) for item in objects)
    commands = [_store_command(number, item) for number, item in enumerate(objects, 1)]
    together.wait()
    with Association(entity.port, entity.title, [Proposal(uid, (syntax,)) for uid, syntax in pairs]) as association:
        for item, command in zip(objects, commands, strict=True):
            context_id = association.context(item.sop_class_uid, item.transfer_syntax)
            association.send(association.message(context_id, command, item.dataset))
            status = number_of(association.receive().command, fields.STATUS)
            if status != 0 and status not in WARNINGS:
                raise PeerError(f"{entity.name} answers C-STORE of {item.sop_instance_uid} with 0x{status:04X}")


def _store_command(number: int, item: ReceivedObject) -> bytes:
    return encode_command(
        {
            fields.AFFECTED_SOP_CLASS: item.sop_class_uid,
            fields.COMMAND_FIELD: fields.C_STORE_RQ,
            fields.MESSAGE_ID: number,
            fields.PRIORITY: 0,
            fields.DATASET_TYPE: 1,
            fields.AFFECTED_SOP_INSTANCE: item.sop_instance_uid,
        }
    )


def _ask(association: Association, what: int, model: str, keys: Mapping[int, str], destination: str = "") -> None:
    command: fields.Values = {
        fields.AFFECTED_SOP_CLASS: model,
        fields.COMMAND_FIELD: what,
        fields.MESSAGE_ID: 1,
        fields.PRIORITY: 0,
        fields.DATASET_TYPE: 1,
        **({fields.MOVE_DESTINATION: destination} if destination else {}),
    }
    association.send(association.message(association.context(model), encode_command(command), encode_identifier(keys)))


def _take(association: Association) -> int:
    """Answer each C-STORE of a C-GET with success; how many there were."""
    received = 0
    while True:
        message = association.receive()
        if number_of(message.command, fields.COMMAND_FIELD) == fields.C_STORE_RQ:
            received += 1
            association.send(association.message(message.context_id, store_response(message)))
        elif number_of(message.command, fields.STATUS) not in fields.PENDING:
            _require_whole(message)
            return received


def _require_whole(answer: Message) -> None:
    status, failed = (number_of(answer.command, element) for element in (fields.STATUS, fields.FAILED))
    if status or failed:
        raise PeerError(f"a retrieval ended with 0x{status:04X}, {failed} sub-operations failed")
