"""Payloads that take another's place, and trained tables, on every database."""

from __future__ import annotations

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mripacs.core.errors import UnknownInstanceError
from mripacs.core.model import InstanceSelection
from mripacs.store import Store, repacking
from tests.store.examples import new_instance

LONG, SHORT = b"long payload " * 40, b"short"


class RepackingSuite:
    """Everything about `Store.replace_payload` and the codec's tables."""

    def test_a_payload_takes_the_others_place(self, store: Store) -> None:
        store.add(new_instance(payload=LONG))
        before = store.load("1.2.3.4").identity
        assert store.replace_payload("1.2.3.4", LONG, SHORT)
        stored = store.load("1.2.3.4")
        assert stored.payload == SHORT
        assert stored.identity.payload_bytes == len(SHORT)
        assert stored.identity.marked_bytes == before.marked_bytes == len(LONG)
        assert {**stored.identity.certificate.to_json(), "first_payload_bytes": None} == before.certificate.to_json()
        assert store.verify_bytes("1.2.3.4") == []
        assert store.check_references() == []
        assert store.statistics().payload_bytes == len(SHORT)

    def test_the_first_payload_is_remembered_over_several(self, store: Store) -> None:
        store.add(new_instance(payload=LONG))
        assert store.replace_payload("1.2.3.4", LONG, SHORT * 3)
        assert store.replace_payload("1.2.3.4", SHORT * 3, SHORT)
        assert store.identify("1.2.3.4").marked_bytes == len(LONG)
        assert store.verify_bytes("1.2.3.4") == []

    def test_only_the_payload_that_was_expected(self, store: Store) -> None:
        store.add(new_instance(payload=LONG))
        assert not store.replace_payload("1.2.3.4", b"another", SHORT)
        assert store.load("1.2.3.4").payload == LONG

    def test_what_has_gone_or_is_in_quarantine_stays_so(self, store: Store) -> None:
        for uid in ("1.1", "1.2"):
            store.add(new_instance(uid, payload=LONG))
        store.quarantine("1.1", "test")
        store.delete(InstanceSelection(sop_instance_uids=("1.2",)))
        assert not store.replace_payload("1.1", LONG, SHORT)
        assert not store.replace_payload("1.2", LONG, SHORT)
        assert store.statistics().payload_bytes == len(LONG)

    def test_a_failure_half_way_changes_nothing(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        store.add(new_instance(payload=LONG))
        monkeypatch.setattr(repacking, "write_event", fail)  # the transaction's last statement
        with pytest.raises(KeyboardInterrupt):
            store.replace_payload("1.2.3.4", LONG, SHORT)
        assert store.load("1.2.3.4").payload == LONG
        assert store.verify_bytes("1.2.3.4") == []

    def test_beside_readers_and_deletions(self, url: str) -> None:
        """Every read finds the old payload or the new one, whole; nothing deadlocks; what is left is consistent."""
        uids = [f"1.{number}" for number in range(40)]
        with Store.open(url) as store, Store.open(url) as other:
            for uid in uids:
                store.add(new_instance(uid, f"5.{uid[-1]}", payload=LONG + uid.encode()))
            done = threading.Event()
            with ThreadPoolExecutor(5) as threads:
                readers = [threads.submit(_read, each, uids, done) for each in (store, other)]
                repackers = [threads.submit(_repack, each, uids) for each in (store, other)]
                deletion = threads.submit(_delete, other, uids[::4])
                repacked = sum(future.result() for future in repackers)
                deletion.result()
                done.set()
                assert sum(future.result() for future in readers) > 0
            left = set(uids) - set(uids[::4])
            assert len(left) <= repacked <= len(uids)
            assert {uid: store.load(uid).payload for uid in left} == {uid: SHORT + uid.encode() for uid in left}
            assert store.check_references() == []
            assert [found for uid in left for found in store.verify_bytes(uid)] == []

    def test_tables_are_found_by_the_start_of_their_digest(self, store: Store) -> None:
        content = b"tables" * 1000
        digest = hashlib.sha256(content)
        assert store.codec_tables(digest.digest()[:8]) is None
        assert store.add_codec_tables(content)
        assert not store.add_codec_tables(content)
        assert store.codec_tables(digest.digest()[:8]) == content
        assert store.codec_tables(b"\0" * 8) is None
        assert [(name, size) for name, size, _ in store.list_codec_tables()] == [(digest.hexdigest(), 6000)]


def _repack(store: Store, uids: list[str]) -> int:
    shuffled = random.Random(id(store)).sample(uids, len(uids))  # noqa: S311 - an order, no secret
    return sum(store.replace_payload(uid, LONG + uid.encode(), SHORT + uid.encode()) for uid in shuffled)


def _delete(store: Store, uids: list[str]) -> None:
    for uid in uids:
        store.delete(InstanceSelection(sop_instance_uids=(uid,)))


def _read(store: Store, uids: list[str], done: threading.Event) -> int:
    """How many reads there were; each must be one of the two payloads."""
    count = 0
    while not done.is_set():
        for uid in uids:
            try:
                assert store.load(uid).payload in (LONG + uid.encode(), SHORT + uid.encode())
                count += 1
            except UnknownInstanceError:
                continue
    return count
