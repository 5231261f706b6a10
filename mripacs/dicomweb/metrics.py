"""`/metrics` for Prometheus: the instruments of the node's process and of this one, told apart by `process`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs import __version__
from mripacs.archive import Archive
from mripacs.core import status
from mripacs.core.errors import StoreError
from mripacs.core.metrics import Family, families
from mripacs.core.settings import Settings
from mripacs.dicomweb.access import require
from mripacs.dicomweb.threads import in_thread


def routes(_: Settings) -> Sequence[BaseRoute]:
    """The route; whoever may read may read it."""
    return [Route("/metrics", metrics)]


async def metrics(request: Request) -> Response:
    """The exposition in the format that `Accept` asks for: OpenMetrics or the classic text."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    require(request, "read")
    state = request.app.state
    body = await in_thread(lambda: encode(_registry(state.archive, state.node_status)))
    return Response(body, media_type=content_type, headers={"Cache-Control": "no-store"})


def _registry(archive: Archive, node_status: str | None) -> CollectorRegistry:
    told = status.ask(node_status)
    processes = {"web": families(), "node": told["metrics"] if told else []}
    registry = CollectorRegistry()
    registry.register(_Collected([*_merged(processes), *_own(archive), _up(told is not None)]))
    return registry


class _Collected(Collector):
    """Families that are there already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def _merged(processes: dict[str, list[Family]]) -> Iterator[Metric]:
    """One family for each name, with the samples of all processes: a name may stand in an exposition once."""
    merged: dict[str, Metric] = {}
    for process, found in processes.items():
        for family in found:
            metric = merged.setdefault(family["name"], Metric(family["name"], family["documentation"], family["type"]))
            for name, labels, value in family["samples"]:
                metric.add_sample(name, {**labels, "process": process}, value)
    yield from merged.values()


def _gauge(name: str, documentation: str, value: float, labels: dict[str, str] | None = None) -> Metric:
    metric = Metric(name, documentation, "gauge")
    metric.add_sample(name, labels or {}, value)
    return metric


def _up(answers: bool) -> Metric:
    return _gauge("mripacs_node_up", "Whether the node's process tells its numbers", float(answers))


def _own(archive: Archive) -> Iterator[Metric]:
    """What is measured at the moment of the question."""
    yield _gauge("mripacs_build", "Version", 1, {"version": __version__})
    try:
        health = archive.database_health()
    except StoreError:
        yield _gauge("mripacs_database_up", "Whether the database answers", 0)
        return
    yield _gauge("mripacs_database_up", "Whether the database answers", 1)
    yield _gauge("mripacs_database_bytes", "Size of the database", health.database_bytes)
    if health.free_bytes is not None:
        yield _gauge("mripacs_free_bytes", "Free bytes on the database's disk", health.free_bytes)
