"""The instances behind one that somebody looks at: decoded while it is looked at, since they are asked for next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

from mripacs.core.errors import MripacsError
from mripacs.core.model import InstanceIdentity, InstanceSelection
from mripacs.retrieve.ahead import BATCH
from mripacs.retrieve.finishing import Finishing

log = logging.getLogger(__name__)

BEHIND = 32  # instances: a viewer that scrolls through 20 a second waits for the first of them at most
MAX_BYTES = 16 << 20  # of data sets, an eighth of what is kept at hand by default


class Scrolling:
    """Reads a series on for whoever looks at it; one series at a time, the one that was looked at last.

    Nothing is read that would not be kept at hand. Thread-safe.
    """

    def __init__(self, finishing: Finishing, executor: Executor) -> None:
        """executor : of one thread, which waits for one batch at a time: codec processes do the work of others, too."""
        self._finishing = finishing
        self._executor = executor
        self._lock = threading.Lock()
        self._seen: InstanceIdentity | None = None
        self._reads = False

    def look(self, identity: InstanceIdentity) -> None:
        """Somebody looks at an instance that was not at hand. Returns at once."""
        if not self._finishing.recent:
            return
        with self._lock:
            self._seen = identity
            if self._reads:
                return
            self._reads = True
        self._executor.submit(self._read)

    def _read(self) -> None:
        try:
            while (identity := self._taken()) is not None:
                self._read_behind(identity)
        except MripacsError as error:
            log.warning("a series was not read on: %s", error)
        finally:
            self._reads = False

    def _taken(self) -> InstanceIdentity | None:
        with self._lock:
            identity, self._seen = self._seen, None
            self._reads = identity is not None
            return identity

    def _read_behind(self, identity: InstanceIdentity) -> None:
        for batch in _batches(self._behind(identity)):
            if self._seen is not None:
                return  # somebody looks elsewhere
            missing = [each for each in batch if not self._finishing.recent.holds(each)]
            if missing:
                self._finishing.finish_many(missing)

    def _behind(self, identity: InstanceIdentity) -> list[InstanceIdentity]:
        """Those that follow in the series, within bounds; their pixels were coded."""
        store = self._finishing.store
        uids = store.series_order(identity.study_instance_uid, identity.series_instance_uid)
        if identity.sop_instance_uid not in uids:
            return []
        start = uids.index(identity.sop_instance_uid) + 1
        behind: list[InstanceIdentity] = []
        room = MAX_BYTES
        for each in store.select(InstanceSelection(sop_instance_uids=tuple(uids[start : start + BEHIND]))):
            room -= each.certificate.received_bytes
            if room < 0:
                break
            if each.certificate.codec is not None and not each.quarantined:
                behind.append(each)
        return behind


def _batches(identities: Sequence[InstanceIdentity]) -> Iterator[Sequence[InstanceIdentity]]:
    return (identities[start : start + BATCH] for start in range(0, len(identities), BATCH))
