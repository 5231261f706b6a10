"""A ring of records in anonymous memory, shared by the processes of a node: what is written last is found, until it is
written over.

The memory is a memfd: it has no name, is never a file of a disk, and is gone with the last process that holds it. It
is read and written by pread and pwrite, not mapped, so that it counts in no process's resident size. Layout, little
endian:

| offset | size | field |
|---|---|---|
| 0 | 8 | head: where the next record goes, counted from the ring's beginning and never reset |
| 64 | 96 * buckets | index: four entries a bucket, found by the first bytes of the key |
| 64 + 96 * buckets | capacity | records, each in one piece, at their position modulo the capacity |

Entry: first 8 bytes of the key, position (8; 0: empty), bytes of the label (4), of the body (4). Record: magic (4),
position (8), key (32), CRC-32 over these, label and body (4); then the label, then the body.

Writers take a lock of the kernel's that ends with its holder, and never wait long for it: a record that is not written
costs its next reader a decode. Readers take none. A record may be written over while it is read: a writer moves the
head first, so who finds the head no further than the record's end of life, after it has read, has read it whole. What
is damaged has a wrong checksum. Either is not there.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

_HEAD = struct.Struct("<Q")
_ENTRY = struct.Struct("<8sQII")
_RECORD = struct.Struct("<4sQ32s")  # what the checksum covers before label and body
_CHECKSUM = struct.Struct("<L")
_PREFIX_BYTES = _RECORD.size + _CHECKSUM.size
_MAGIC = b"MRr2"
_INDEX_START = 64
_WAYS = 4
_BUCKET_BYTES = _WAYS * _ENTRY.size
_BYTES_A_BUCKET = 16 << 10  # of the capacity: records of 16 KiB find room for four times their number
KEY_BYTES = 32
LARGEST_SHARE = 4  # a record takes a quarter of the ring at most: one enhanced object must not empty it
LOCK_TRIES, LOCK_PAUSE_S = 20, 0.0005  # a record of 150 KB is written in 0.05 ms


class Ring:
    """Records by key. Thread-safe; may be handed to processes that are spawned, which then share it."""

    def __init__(self, descriptor: int, capacity: int) -> None:
        """Use the memory behind a descriptor that `create` made, and own the descriptor."""
        self._descriptor = descriptor
        self._capacity = capacity
        self._buckets = max(1, capacity // _BYTES_A_BUCKET)
        self._start = _INDEX_START + self._buckets * _BUCKET_BYTES
        self._lock = threading.Lock()  # the kernel's lock is the process's, not the thread's
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def create(cls, capacity: int) -> Self | None:
        """An empty ring of `capacity` bytes of records; None on systems without anonymous memory of that kind."""
        if not hasattr(os, "memfd_create"):
            return None
        ring = cls(os.memfd_create("mripacs-recent"), capacity)
        os.ftruncate(ring._descriptor, ring._start + capacity)  # takes no memory before it is written
        os.pwrite(ring._descriptor, _HEAD.pack(capacity), 0)  # no record's position is 0
        return ring

    def __reduce__(self) -> tuple[Callable[..., Ring], tuple[Any, int]]:
        """For a process that is being spawned: the same memory."""
        from multiprocessing.reduction import DupFd  # noqa: PLC0415 - not on every system, as fcntl

        return _attached, (DupFd(self._descriptor), self._capacity)

    def get(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Label and body of the record of that key (32 bytes), whole and undamaged; None where there is none."""
        for position, label_bytes, body_bytes in self._entries(key):
            found = self._read(key, position, label_bytes, body_bytes)
            if found is not None:
                return found
        return None

    def holds(self, key: bytes) -> bool:
        """Whether there is a record of that key, as far as its beginning tells."""
        return any(self._begins(key, position) for position, _, _ in self._entries(key))

    def put(self, key: bytes, label: bytes, body: bytes) -> bool:
        """Write a record; False where it is too large, or others write without pause."""
        size = _PREFIX_BYTES + len(label) + len(body)
        if size > self._capacity // LARGEST_SHARE:
            return False
        try:
            with self._locked():
                position = self._take(size)
                prefix = _RECORD.pack(_MAGIC, position, key)
                parts = (prefix, _checksum(prefix, label, body), label, body)
                if os.pwritev(self._descriptor, parts, self._start + position % self._capacity) < size:
                    return False  # memory ran out in its midst
                self._enter(key, position, len(label), len(body))
        except OSError as error:
            if error.errno in _BUSY_OR_FULL:
                return False
            raise
        return True

    def _entries(self, key: bytes) -> list[tuple[int, int, int]]:
        """Where its records may be: position, bytes of the label, bytes of the body."""
        bucket = os.pread(self._descriptor, _BUCKET_BYTES, self._bucket_of(key))
        entries = _ENTRY.iter_unpack(bucket)
        return [(position, label, body) for tag, position, label, body in entries if position and tag == key[:8]]

    def _begins(self, key: bytes, position: int) -> bool:
        begin = os.pread(self._descriptor, _RECORD.size, self._start + position % self._capacity)
        return begin == _RECORD.pack(_MAGIC, position, key)

    def _read(self, key: bytes, position: int, label_bytes: int, body_bytes: int) -> tuple[bytes, bytes] | None:
        at = position % self._capacity
        if at + _PREFIX_BYTES + label_bytes + body_bytes > self._capacity:
            return None  # a damaged entry must not make us allocate what it says
        begin = os.pread(self._descriptor, _PREFIX_BYTES + label_bytes, self._start + at)
        prefix, checksum, label = begin[: _RECORD.size], begin[_RECORD.size : _PREFIX_BYTES], begin[_PREFIX_BYTES:]
        if prefix != _RECORD.pack(_MAGIC, position, key):
            return None
        body = os.pread(self._descriptor, body_bytes, self._start + at + len(begin))
        if self._head() > position + self._capacity:  # a writer has come around, and may have been faster
            return None
        return (label, body) if _checksum(prefix, label, body) == checksum else None

    def _head(self) -> int:
        (position,) = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, 0))
        return int(position)

    def _take(self, size: int) -> int:
        """The position of the next record; it goes to the beginning where it would not end before the end."""
        position = self._head()
        left = self._capacity - position % self._capacity
        position += left if size > left else 0
        os.pwrite(self._descriptor, _HEAD.pack(position + size), 0)
        return position

    def _enter(self, key: bytes, position: int, label_bytes: int, body_bytes: int) -> None:
        """Point to a record: in the place of an older one of the same key, else of the oldest of the bucket."""
        at = self._bucket_of(key)
        entries = list(_ENTRY.iter_unpack(os.pread(self._descriptor, _BUCKET_BYTES, at)))
        way = min(range(_WAYS), key=lambda way: (entries[way][0] != key[:8], entries[way][1]))
        entry = _ENTRY.pack(key[:8], position, label_bytes, body_bytes)
        os.pwrite(self._descriptor, entry, at + way * _ENTRY.size)

    def _bucket_of(self, key: bytes) -> int:
        return _INDEX_START + int.from_bytes(key[8:16], "little") % self._buckets * _BUCKET_BYTES

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """No other writer. Raises BlockingIOError where others go on writing."""
        import fcntl  # noqa: PLC0415 - not on every system; those have no memfd either

        with self._lock:
            for _ in range(LOCK_TRIES - 1):
                try:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(LOCK_PAUSE_S)
            else:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


# Others write; no memory is left for the ring (it is taken as it is written): both are no reason to fail a retrieval.
_BUSY_OR_FULL = frozenset({errno.EAGAIN, errno.EACCES, errno.ENOSPC, errno.ENOMEM})


def _attached(duplicate: Any, capacity: int) -> Ring:
    """In the spawned process; `duplicate` is what `DupFd` gave."""
    return Ring(duplicate.detach(), capacity)


def _checksum(prefix: bytes, label: bytes, body: bytes) -> bytes:
    """Against damaged memory: 150 KB take 0.03 ms of one core; SHA-256 took 0.09, a third of retrieving a series."""
    return _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(label, zlib.crc32(prefix))))
