"""Metadata as bytes of JSON, held for the instances that were asked for last.

Nothing stale is found: an instance that another takes the place of, be it of the same bytes, has another key.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import orjson
from starlette.requests import Request

from mripacs.core.model import InstanceIdentity
from mripacs.dicomweb.links import base_of, bulk_url
from mripacs.dicomweb.targets import archive_of, key_of

CACHE_BYTES = 64 << 20  # an instance of GE takes 4.7 KB, of Siemens 8 KB, of Philips 24 KB
PAGE = 64  # headers read by one statement

Key = tuple[str, str]  # base of the links, and of all that the model follows from


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


def metadata_of(request: Request, identities: Sequence[InstanceIdentity], keys: Sequence[str]) -> list[bytes]:
    """The models of the instances as JSON, in their order. Blocks; raises DamagedInstanceError, TranscodeError.

    keys : of the instances (`targets.key_of`): the same bytes that another policy kept have other marks.
    """
    cache: JsonCache = request.app.state.metadata
    base, changes = base_of(request), request.app.state.settings.archive.rewrite_references
    uids = [identity.sop_instance_uid for identity in identities]
    held = {} if changes else {uid: cache.get((base, key)) for uid, key in zip(uids, keys, strict=True)}
    found = {uid: text for uid, text in held.items() if text is not None}
    missing = [uid for uid in uids if uid not in found]
    for start in range(0, len(missing), PAGE):
        page = missing[start : start + PAGE]
        models = archive_of(request).metadata(page, lambda one, path: bulk_url(base, one, path))
        for identity, model in models:  # as it is now: another one, where it was replaced meanwhile
            text = found[identity.sop_instance_uid] = orjson.dumps(model)
            cache.put((base, key_of(identity)), text)
    return [found[uid] for uid in uids if uid in found]  # what was deleted meanwhile is left out
