"""Metadata as bytes of JSON, held for the instances that were asked for last: they never change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import orjson
from starlette.requests import Request

from mripacs.core.model import InstanceIdentity
from mripacs.dicomweb.links import base_of, bulk_url
from mripacs.dicomweb.targets import archive_of

CACHE_BYTES = 64 << 20  # an instance of GE takes 4.7 KB, of Siemens 8 KB, of Philips 24 KB
PAGE = 64  # headers read by one statement

Key = tuple[str, str, str]  # base of the links, UID, digest of what was received


class JsonCache:
    """JSON of the instances asked for last, up to a number of bytes. Thread-safe."""

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._size = 0
        self._held: OrderedDict[Key, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> bytes | None:
        """What is held for the key."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Key, text: bytes) -> None:
        """Hold it, and let the oldest go where there is no room."""
        with self._lock:
            if key in self._held or len(text) > self._capacity:
                return
            self._held[key] = text
            self._size += len(text)
            while self._size > self._capacity:
                _, dropped = self._held.popitem(last=False)
                self._size -= len(dropped)


def metadata_of(request: Request, identities: Sequence[InstanceIdentity]) -> list[bytes]:
    """The models of the instances as JSON, in their order. Blocks; raises DamagedInstanceError, TranscodeError."""
    cache: JsonCache = request.app.state.metadata
    base, changes = base_of(request), request.app.state.settings.archive.rewrite_references
    keys = [(base, each.sop_instance_uid, each.certificate.received_digest) for each in identities]
    found = {key: text for key in keys if not changes and (text := cache.get(key)) is not None}
    missing = [key for key in keys if key not in found]
    for start in range(0, len(missing), PAGE):
        page = missing[start : start + PAGE]
        models = archive_of(request).metadata([uid for _, uid, _ in page], lambda one, path: bulk_url(base, one, path))
        for identity, model in models:
            key = (base, identity.sop_instance_uid, identity.certificate.received_digest)
            found[key] = orjson.dumps(model)
            cache.put(key, found[key])
    return [found[key] for key in keys if key in found]  # what was deleted meanwhile is left out
