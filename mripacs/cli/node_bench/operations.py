"""What is timed: one table of operations; each gives the seconds of one server in one round."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mripacs.cli.node_bench import scu
from mripacs.cli.node_bench.samples import Samples, SentSeries
from mripacs.cli.node_bench.servers import Running
from mripacs.cli.node_bench.sink import MoveSink
from mripacs.cli.web_peers import ROOT, get, multipart, post_body
from mripacs.core.errors import PeerError
from mripacs.core.model import Outgoing, ReceivedObject
from mripacs.dicom.part10 import write_part10

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"'
QUERIES = 5  # of each kind in a round: their median counts
STUDY_LEVEL = {scu.STUDY_UID: "", 0x00100010: "", 0x00100020: "", 0x00080020: "", 0x00201206: "", 0x00201208: ""}
SERIES_LEVEL = {scu.SERIES_UID: "", 0x00080060: "", 0x0008103E: "", 0x00201209: ""}
INSTANCE_LEVEL = {scu.INSTANCE_UID: "", 0x00080016: "", 0x00200013: ""}


@dataclass(frozen=True, slots=True)
class Round:
    """What one round sends to and asks of every server."""

    one_by_one: list[ReceivedObject]
    four_at_once: list[ReceivedObject]
    stow_together: bytes
    stow_alone: list[bytes]
    for_get: SentSeries
    for_move: SentSeries

    @classmethod
    def of(cls, samples: Samples) -> Round:
        """Fresh copies for every operation."""
        together, alone = ([part10(item) for item in samples.mixed()] for _ in range(2))
        return cls(
            samples.mixed(),
            samples.mixed(),
            multipart(together),
            [multipart([content]) for content in alone],
            samples.series(),
            samples.series(),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A server, a kept connection to its web door, and where its C-MOVEs go."""

    server: Running
    web: http.client.HTTPConnection | None
    sink: MoveSink


Timed = Callable[[Asked, Round], float]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the result."""

    name: str
    run: Timed
    items: Callable[[Round], int]  # instances that it moves; 1 for a query
    web: bool = False
    stores: bool = False
    repeats: int = 1  # how often it is done in a round

    def suits(self, asked: Asked) -> bool:
        """Whether the server offers it."""
        return (asked.web is not None or not self.web) and (self.stores or not asked.server.stores_only)


def part10(item: ReceivedObject) -> bytes:
    """A received object as a file."""
    return write_part10(Outgoing(item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax, item.dataset))


def prepare(asked: Asked, what: Round) -> int:
    """Store the series that the round retrieves, not timed; gives the number of instances."""
    if asked.server.stores_only:
        return 0
    for series in (what.for_get, what.for_move):
        scu.store(asked.server.entity, series.objects, 4)
    return len(what.for_get.objects) + len(what.for_move.objects)


def _stow_together(asked: Asked, what: Round) -> float:
    return _seconds(lambda: post_body(_web(asked), f"{ROOT}/studies", what.stow_together))


def _stow_alone(asked: Asked, what: Round) -> float:
    return _seconds(lambda: [post_body(_web(asked), f"{ROOT}/studies", body) for body in what.stow_alone])


def _c_get(asked: Asked, what: Round) -> float:
    keys = {scu.STUDY_UID: what.for_get.study_instance_uid, scu.SERIES_UID: what.for_get.series_instance_uid}
    contexts = what.for_get.contexts
    return _seconds(
        lambda: _expect(scu.get(asked.server.entity, keys, contexts), len(what.for_get.objects), asked, "C-GET")
    )


def _c_move(asked: Asked, what: Round) -> float:
    keys = {scu.STUDY_UID: what.for_move.study_instance_uid, scu.SERIES_UID: what.for_move.series_instance_uid}
    return _seconds(
        lambda: _expect(scu.move(asked.server.entity, keys, asked.sink), len(what.for_move.objects), asked, "C-MOVE")
    )


def _wado_series(asked: Asked, what: Round) -> float:
    return _seconds(lambda: get(_web(asked), _path(what.for_get), DICOM))


def _frames(asked: Asked, what: Round) -> float:
    """Each instance's first frame, one request after the other, as a viewer that scrolls through a series."""
    path = _path(what.for_move)
    uids = [item.sop_instance_uid for item in what.for_move.objects]
    return _seconds(lambda: [get(_web(asked), f"{path}/instances/{uid}/frames/1", FRAMES) for uid in uids])


def _qido(path: Callable[[Round], str]) -> Timed:
    return lambda asked, what: _median_seconds(lambda: get(_web(asked), ROOT + path(what)))


def _find(level: str, keys: Mapping[int, str], above: Callable[[Round], Mapping[int, str]]) -> Timed:
    def run(asked: Asked, what: Round) -> float:
        return _median_seconds(lambda: scu.find(asked.server.entity, level, {**keys, **above(what)}))

    return run


def _path(series: SentSeries) -> str:
    return f"{ROOT}/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"


def _web(asked: Asked) -> http.client.HTTPConnection:
    if asked.web is None:
        raise PeerError(f"{asked.server.name} has no DICOMweb")
    return asked.web


def _expect(found: int, wanted: int, asked: Asked, what: str) -> None:
    if found != wanted:
        raise PeerError(f"{what} of {asked.server.name} brought {found} of {wanted} instances")


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _median_seconds(call: Callable[[], object]) -> float:
    return statistics.median(_seconds(call) for _ in range(QUERIES))


def _one(_: Round) -> int:
    return 1


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "C-STORE, 1 association",
        lambda asked, what: scu.store(asked.server.entity, what.one_by_one, 1),
        lambda what: len(what.one_by_one),
        stores=True,
    ),
    Operation(
        "C-STORE, 4 associations",
        lambda asked, what: scu.store(asked.server.entity, what.four_at_once, 4),
        lambda what: len(what.four_at_once),
        stores=True,
    ),
    Operation("STOW-RS, all in one request", _stow_together, lambda what: len(what.stow_alone), web=True, stores=True),
    Operation("STOW-RS, one by one", _stow_alone, lambda what: len(what.stow_alone), web=True, stores=True),
    Operation("C-GET of a series", _c_get, lambda what: len(what.for_get.objects)),
    Operation("C-MOVE of a series", _c_move, lambda what: len(what.for_move.objects)),
    Operation("WADO-RS of a series", _wado_series, lambda what: len(what.for_get.objects), web=True),
    Operation("WADO-RS, single frames", _frames, lambda what: len(what.for_move.objects), web=True),
    Operation("QIDO-RS, studies", _qido(lambda _: "/studies?limit=100"), _one, web=True, repeats=QUERIES),
    Operation(
        "QIDO-RS, series of a study",
        _qido(lambda what: f"/studies/{what.for_get.study_instance_uid}/series"),
        _one,
        web=True,
        repeats=QUERIES,
    ),
    Operation("QIDO-RS, 100 instances", _qido(lambda _: "/instances?limit=100"), _one, web=True, repeats=QUERIES),
    Operation("C-FIND, studies", _find("STUDY", STUDY_LEVEL, lambda _: {}), _one, repeats=QUERIES),
    Operation(
        "C-FIND, series of a study",
        _find("SERIES", SERIES_LEVEL, lambda what: {scu.STUDY_UID: what.for_get.study_instance_uid}),
        _one,
        repeats=QUERIES,
    ),
    Operation(
        "C-FIND, instances of a series",
        _find(
            "IMAGE",
            INSTANCE_LEVEL,
            lambda what: {
                scu.STUDY_UID: what.for_get.study_instance_uid,
                scu.SERIES_UID: what.for_get.series_instance_uid,
            },
        ),
        _one,
        repeats=QUERIES,
    ),
)
