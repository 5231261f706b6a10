"""What a process of the node counts and times, as Prometheus instruments, and the same as plain values for another one.

Each process counts for itself, in memory. The web process asks the node's for its families (`core.status`) and shows
both, told apart by the label `process`. prometheus_client's multiprocess mode was not taken: it maps files into memory,
and a full disk under such a file is a SIGBUS, which would end the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mripacs.core.errors import MripacsError

REGISTRY = CollectorRegistry()
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # a slice is coded in 0.02 to 0.5 s

RECEIVED = Counter(
    "mripacs_received_objects", "Objects acknowledged", ["door", "disposition", "tier"], registry=REGISTRY
)
RECEIVED_BYTES = Counter("mripacs_received_bytes", "Bytes of data sets that were stored", ["tier"], registry=REGISTRY)
STORED_BYTES = Counter("mripacs_stored_bytes", "Bytes kept of them: payload and header", ["tier"], registry=REGISTRY)
FETCHED_BYTES = Counter("mripacs_fetched_bytes", "Bytes of data sets rebuilt to be given out", registry=REGISTRY)
ERRORS = Counter(
    "mripacs_errors", "Errors by operation and class of the error tree", ["operation", "kind"], registry=REGISTRY
)
STORE_SECONDS = Histogram(
    "mripacs_store_seconds", "From a whole object to its durable commit", registry=REGISTRY, buckets=SECONDS
)
ENCODE_SECONDS = Histogram(
    "mripacs_encode_seconds", "Compressing and proving one object", ["tier"], registry=REGISTRY, buckets=SECONDS
)
FETCH_SECONDS = Histogram(
    "mripacs_fetch_seconds", "Reading, decoding and rebuilding one instance", registry=REGISTRY, buckets=SECONDS
)
DECODE_SECONDS = Histogram(
    "mripacs_decode_seconds", "Decoding and checking one payload", registry=REGISTRY, buckets=SECONDS
)
CODEC_JOBS = Gauge("mripacs_codec_jobs", "Objects that wait for a codec process or are in one", registry=REGISTRY)
WAITING = Gauge("mripacs_waiting_objects", "Acknowledged objects that are not compressed yet", registry=REGISTRY)
ASSOCIATIONS = Gauge("mripacs_associations", "DICOM associations that live", registry=REGISTRY)

Family = dict[str, Any]  # name, documentation, type, samples: [name, labels, value]


@contextmanager
def counting_errors(operation: str) -> Iterator[None]:
    """Count an error of ours that leaves the block, by its class."""
    try:
        yield
    except MripacsError as error:
        ERRORS.labels(operation, type(error).__name__).inc()
        raise


def families(registry: CollectorRegistry = REGISTRY) -> list[Family]:
    """All instruments with their values, ready for JSON."""
    return [
        {
            "name": family.name,
            "documentation": family.documentation,
            "type": family.type,
            "samples": [[sample.name, dict(sample.labels), sample.value] for sample in family.samples],
        }
        for family in registry.collect()
    ]
