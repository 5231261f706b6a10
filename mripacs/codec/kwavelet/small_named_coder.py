"""The `small` coder with tables that do not ship: its bytes begin with their name (see `tables_registry`)."""

from __future__ import annotations

from functools import lru_cache

from mripacs.codec import tables_registry
from mripacs.codec.kwavelet import small_coder
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.small_tables import SmallTables
from mripacs.codec.tables_registry import NAME_BYTES
from mripacs.core.errors import PayloadError


def encode(quantised: Quantised, name: bytes) -> bytes:
    """Bytes of the indices by the tables of that name. Raises UnknownTablesError."""
    return name + small_coder.encode(quantised, _tables(name))


def decode(stream: bytes, rows: int, columns: int, step: int) -> Quantised:
    """Indices from `encode`'s bytes. Raises UnknownTablesError, PayloadError if they cannot be any encoder's."""
    if len(stream) < NAME_BYTES:
        raise PayloadError("the name of the tables is cut off")
    return small_coder.decode(stream[NAME_BYTES:], rows, columns, step, _tables(stream[:NAME_BYTES]))


@lru_cache(maxsize=4)
def _tables(name: bytes) -> SmallTables:
    return SmallTables.from_bytes(tables_registry.find(name))
