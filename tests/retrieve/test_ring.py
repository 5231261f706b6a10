"""The ring of records: what is found is what was written, whoever wrote it, and nothing else is ever found."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import struct
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from random import Random

import pytest

from mripacs.retrieve.ring import LARGEST_SHARE, Ring

CAPACITY = 1 << 20
pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="anonymous memory of Linux")


@pytest.fixture
def ring() -> Ring:
    """An empty one."""
    made = Ring.create(CAPACITY)
    if made is None:
        pytest.fail("memfd_create is there and gave nothing")
    return made


def key_of(number: int) -> bytes:
    """The key of a test's record."""
    return hashlib.sha256(b"%d" % number).digest()


def body_of(number: int) -> bytes:
    """A body that no other record has."""
    return b"%08d" % number * (100 + number % 1000)


def test_a_record_comes_back(ring: Ring) -> None:
    """Label and body, also empty ones."""
    assert ring.put(key_of(1), b"label", b"body")
    assert ring.put(key_of(2), b"", b"")
    assert ring.get(key_of(1)) == (b"label", b"body")
    assert ring.get(key_of(2)) == (b"", b"")
    assert ring.get(key_of(3)) is None


def test_the_last_of_a_key_counts(ring: Ring) -> None:
    """Written again, found anew, in one entry."""
    for number in range(10):
        ring.put(key_of(1), b"", b"%d" % number)
    assert ring.get(key_of(1)) == (b"", b"9")


def test_the_oldest_go(ring: Ring) -> None:
    """Round and round: each record is right or gone; the last ones are there."""
    for number in range(5000):
        assert ring.put(key_of(number), b"%d" % number, body_of(number))
        assert ring.get(key_of(number)) == (b"%d" % number, body_of(number))
    found = [number for number in range(5000) if ring.get(key_of(number)) is not None]
    for number in found:
        assert ring.get(key_of(number)) == (b"%d" % number, body_of(number))
    assert min(found) >= 4700, "the ring holds 230 of these"
    assert len(set(found) & set(range(4900, 5000))) > 90, "a bucket that is full lets a few go early"
    assert sum(len(body_of(number)) for number in found) <= CAPACITY


def test_what_is_too_large_is_not_taken(ring: Ring) -> None:
    """A quarter of the ring at most, and what is there stays."""
    ring.put(key_of(1), b"", b"small")
    assert not ring.put(key_of(2), b"", bytes(CAPACITY // LARGEST_SHARE))
    assert ring.get(key_of(2)) is None
    assert ring.get(key_of(1)) == (b"", b"small")


def test_every_flipped_byte_is_a_miss(ring: Ring) -> None:
    """In the record or its entry: not there, never other bytes; not even an allocation by a wrong length."""
    label, body = b"syntax", b"pixels" * 20
    ring.put(key_of(1), label, body)
    used = [at for at in range(ring._start + CAPACITY) if (at < ring._start or at < ring._start + 300)]
    content = os.pread(ring._descriptor, ring._start + 300, 0)
    flipped = [at for at in used if content[at]]
    misses = 0
    for at in flipped:
        os.pwrite(ring._descriptor, bytes([content[at] ^ 0x55]), at)
        found = ring.get(key_of(1))
        assert found in (None, (label, body))
        misses += found is None
        os.pwrite(ring._descriptor, content[at : at + 1], at)
    assert ring.get(key_of(1)) == (label, body)
    assert misses > len(label) + len(body) + 48, "each byte of the record, its key and its checksum matters"


def test_a_torn_record_is_a_miss(ring: Ring) -> None:
    """A writer that died half-way: its entry may point to what is not whole."""
    body = b"x" * 1000
    ring.put(key_of(1), b"l", body)
    os.pwrite(ring._descriptor, bytes(500), ring._start + 580)  # the second half never came
    assert ring.get(key_of(1)) is None


def test_a_record_that_found_no_room_is_not_entered(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that runs out in the midst of a write ends it short, without an error."""
    monkeypatch.setattr(os, "pwritev", lambda descriptor, parts, at: os.pwrite(descriptor, b"".join(parts)[:-1], at))
    assert not ring.put(key_of(1), b"", b"body")
    assert ring._entries(key_of(1)) == []
    monkeypatch.undo()
    assert ring.put(key_of(1), b"", b"body")
    assert ring.get(key_of(1)) == (b"", b"body")


def test_what_a_writer_has_claimed_is_a_miss(ring: Ring) -> None:
    """It moves the head before it writes: whatever is still there may be half of the next record."""
    ring.put(key_of(1), b"", b"body")
    [(position, _, _)] = ring._entries(key_of(1))
    for head, found in ((position + CAPACITY, (b"", b"body")), (position + CAPACITY + 1, None)):
        os.pwrite(ring._descriptor, struct.pack("<Q", head), 0)
        assert ring.get(key_of(1)) == found


def test_a_dead_writer_holds_nobody_up(ring: Ring) -> None:
    """Killed with the lock in its hand: the next one writes at once."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(ring, theirs))
    holder.start()
    assert ours.recv() == "held"
    assert not ring.put(key_of(1), b"", b"kept out"), "the other process holds the lock"
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    assert ring.put(key_of(1), b"", b"after")
    assert ring.get(key_of(1)) == (b"", b"after")


def _hold(ring: Ring, pipe: Connection) -> None:
    with ring._locked():
        pipe.send("held")
        threading.Event().wait(60)


def test_processes_and_threads_at_once(ring: Ring) -> None:
    """Two processes write over each other's records while three threads read: right or not there."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(ring, seed)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    counts = {True: 0, False: 0}
    wrong: list[int] = []
    readers = [threading.Thread(target=_read, args=(ring, writers, counts, wrong, seed)) for seed in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    for writer in writers:
        writer.join()
    assert not wrong
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert counts[True] > 100, "the readers saw what the other processes wrote"


def _numbers(seed: int) -> Iterator[int]:
    numbers = Random(seed)  # noqa: S311 - an order, no secret
    while True:
        yield numbers.randrange(300)


def _write(ring: Ring, seed: int) -> None:
    written = 0
    for number, _ in zip(_numbers(seed), range(20_000), strict=False):
        written += ring.put(key_of(number), b"%d" % number, body_of(number))
    if written < 1000:
        raise SystemExit(3)


def _read(ring: Ring, writers: list[SpawnProcess], counts: dict[bool, int], wrong: list[int], seed: int) -> None:
    for number in _numbers(seed):
        found = ring.get(key_of(number))
        counts[found is not None] += 1
        if found not in (None, (b"%d" % number, body_of(number))):
            wrong.append(number)
        if not any(writer.is_alive() for writer in writers):
            return
