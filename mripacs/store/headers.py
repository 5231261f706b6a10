"""Header bytes, packed against a reference header of their series.

Headers of a series differ in a few dozen values, so zstd with an earlier one as raw-content dictionary leaves 4 to 17
% of what the header takes alone. Which headers become references is decided by `is_poor`; a reference is packed
alone, once. Frames carry no content size: the row's raw length bounds what unpacking may allocate.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zstandard

# Level against a reference, bytes and ms a header (GE 17 KB / Philips 9 KB, 1738 files, 2 GHz core):
#   3: 615 / 175, 0.07 / 0.05    9: 574 / 160, 0.20 / 0.08    12: 564 / 160, 0.60 / 0.18    19: 532 / 158, 1.6 / 0.8
PACKED_LEVEL = 9
ALONE_LEVEL = 19  # once a series: 16 KB take 5 ms, 240 KB of a Siemens take 40 ms
LARGE_LEVEL = 3  # 100 MB/s and more; large headers are unparsed pixels, which hardly shrink
MAX_REFERENCE_BYTES = 1 << 20  # loading a longer dictionary costs more time than it saves bytes (2.5 MB: 9 ms a header)
MAX_REFERENCES = 4  # of a series and transfer syntax; all are tried
POOR_RATIO = 0.25  # in a series of one kind the worst is 0.13 (GE) and 0.17 (Canon); another kind in it gives 0.8
POOR_BYTES = 2048  # a further reference costs a row and 3 to 15 KB: small losses are not worth it
CACHE_BYTES = 16 << 20  # a thousand series under way at once
NO_CONTENT_SIZE = -1  # what zstandard answers for frames without it, as all of ours are
MAX_RAW_BYTES = 1 << 32  # no header is longer: a larger number is damage, and must not be allocated


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference header, ready for use. `id` is its row's, None before it has one."""

    id: int | None
    raw: bytes
    dictionary: zstandard.ZstdCompressionDict


@dataclass(frozen=True, slots=True)
class PackedHeader:
    """A header as stored: its bytes, and the reference needed to read them (None: they stand alone).

    `reference_data` is a new reference as stored, packed alone or against `base`, another of its study; None when the
    reference has its row already.
    """

    data: bytes
    reference: Reference | None
    reference_data: bytes | None = None
    base: Reference | None = None


def make_reference(raw: bytes, row_id: int | None = None) -> Reference:
    """A reference on the header's bytes."""
    return Reference(row_id, raw, zstandard.ZstdCompressionDict(raw, dict_type=zstandard.DICT_TYPE_RAWCONTENT))


def may_refer(header: bytes) -> bool:
    """Whether a header takes part in references at all."""
    return len(header) <= MAX_REFERENCE_BYTES


def pack_alone(header: bytes) -> bytes:
    """The header as a zstd frame of its own."""
    level = ALONE_LEVEL if may_refer(header) else LARGE_LEVEL
    return zstandard.ZstdCompressor(level=level, write_content_size=False).compress(header)


def pack(header: bytes, references: Sequence[Reference]) -> PackedHeader:
    """The shortest form of the header against any of the references (at least one)."""
    packed = (PackedHeader(_pack_against(header, reference), reference) for reference in references)
    return min(packed, key=lambda candidate: len(candidate.data))


def is_poor(header: bytes, packed: PackedHeader) -> bool:
    """Whether the header is so unlike the references that it should become one itself."""
    if len(packed.data) <= POOR_BYTES:
        return False
    return len(packed.data) > POOR_RATIO * size_alone(header)


def size_alone(header: bytes) -> int:
    """What the header takes alone, at the level of headers that are packed against others."""
    return len(zstandard.ZstdCompressor(level=PACKED_LEVEL, write_content_size=False).compress(header))


def unpack(data: bytes, raw_length: int, reference: Reference | None = None) -> bytes:
    """The header's bytes; ValueError when the data are no frame of exactly `raw_length` bytes."""
    if not isinstance(raw_length, int) or not 0 <= raw_length <= MAX_RAW_BYTES:
        raise ValueError("no number of bytes on record")
    decompressor = zstandard.ZstdDecompressor(dict_data=reference.dictionary if reference else None)
    try:
        if zstandard.frame_content_size(data) not in (NO_CONTENT_SIZE, raw_length):
            raise ValueError(f"a zstd frame of other than {raw_length} bytes")  # its own claim would be allocated
        raw = decompressor.decompress(data, max_output_size=max(raw_length, 1))  # 0 would mean no bound
    except (zstandard.ZstdError, MemoryError, TypeError) as error:
        raise ValueError(f"no zstd frame of {raw_length} bytes: {error}") from error
    if len(raw) != raw_length:
        raise ValueError(f"{len(raw)} bytes instead of {raw_length}")
    return raw


def digest(data: bytes) -> bytes:
    """SHA-256, 32 bytes; of what is no bytes, as a damaged row of SQLite can hold, nothing that equals any digest."""
    return hashlib.sha256(data).digest() if isinstance(data, bytes) else b""


def _pack_against(header: bytes, reference: Reference) -> bytes:
    """One frame whose window covers reference and header."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        PACKED_LEVEL, source_size=len(header), dict_size=len(reference.raw), write_content_size=False
    )
    return zstandard.ZstdCompressor(dict_data=reference.dictionary, compression_params=parameters).compress(header)


class ReferenceCache:
    """The references used last, up to a number of bytes; shared by all threads."""

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._size = 0
        self._entries: OrderedDict[int, Reference] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, row_id: int, load: Callable[[int], bytes]) -> Reference:
        """The reference of that row; `load` reads its raw bytes when they are not held."""
        with self._lock:
            if row_id in self._entries:
                self._entries.move_to_end(row_id)
                return self._entries[row_id]
        reference = make_reference(load(row_id), row_id)
        self._keep(row_id, reference)
        return reference

    def _keep(self, row_id: int, reference: Reference) -> None:
        with self._lock:
            if row_id in self._entries:
                return
            self._entries[row_id] = reference
            self._size += len(reference.raw)
            while self._size > self._capacity and len(self._entries) > 1:
                _, evicted = self._entries.popitem(last=False)
                self._size -= len(evicted.raw)
