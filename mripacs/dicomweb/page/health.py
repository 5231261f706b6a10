"""The health page: what works, what is in quarantine, and what the processes counted since they started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mripacs.core import status
from mripacs.core.metrics import Family, families
from mripacs.dicomweb.health import readiness
from mripacs.dicomweb.page.html import page, render
from mripacs.dicomweb.targets import archive_of
from mripacs.dicomweb.threads import in_thread

# Counters that the page shows, by family: what a row of it is called.
SHOWN: Mapping[str, str] = {
    "mripacs_received_objects": "objects acknowledged",
    "mripacs_errors": "errors",
    "mripacs_associations": "associations open",
    "mripacs_codec_jobs": "objects in the codec's queue",
}
TIMED: Mapping[str, str] = {
    "mripacs_store_seconds": "storing an object, to its commit",
    "mripacs_encode_seconds": "compressing and proving",
    "mripacs_decode_seconds": "decoding a payload",
    "mripacs_fetch_seconds": "rebuilding an instance",
}


@page
async def health(request: Request) -> Response:
    """The page. It is 200 also when a part is not well: `/readyz` is for machines."""
    archive = archive_of(request)
    parts = await in_thread(readiness, request)
    told = await in_thread(status.ask, request.app.state.node_status)
    processes = {"node": told["metrics"] if told else [], "web": families()}
    return render(
        request,
        "health.html",
        parts=parts,
        well=not any(parts.values()),
        quarantined=await in_thread(archive.quarantined),
        counts=list(_counts(processes)),
        times=list(_times(processes)),
    )


def _counts(processes: Mapping[str, list[Family]]) -> Iterator[tuple[str, str, str, int]]:
    """Name, labels, process and value of each count that is not zero; the node's gauges in any case."""
    for process, found in processes.items():
        for family in found:
            for name, labels, value in family["samples"]:
                shown = family["name"] in SHOWN and not name.endswith("_created")
                if shown and (value or (family["type"] == "gauge" and process == "node")):
                    yield SHOWN[family["name"]], ", ".join(labels.values()), process, int(value)


def _times(processes: Mapping[str, list[Family]]) -> Iterator[tuple[str, str, str, int, float]]:
    """Name, labels, process, how often and mean milliseconds of what was timed at all."""
    for process, found in processes.items():
        for family in found:
            if family["name"] not in TIMED:
                continue
            sums = {_key(labels): value for name, labels, value in family["samples"] if name.endswith("_sum")}
            for name, labels, count in family["samples"]:
                if name.endswith("_count") and count:
                    mean_ms = 1000 * sums[_key(labels)] / count
                    yield TIMED[family["name"]], ", ".join(labels.values()), process, int(count), mean_ms


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


ROUTES = [Route("/health", health)]
