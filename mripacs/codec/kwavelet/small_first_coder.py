"""The `small` coder with the first tables that shipped: what mode 2 means. Read for ever, not written any more."""

from __future__ import annotations

from mripacs.codec.kwavelet import small_coder
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.small_tables import shipped


def encode(quantised: Quantised) -> bytes:
    """Bytes of the indices, as `small_coder.encode`."""
    return small_coder.encode(quantised, shipped(1))


def decode(stream: bytes, rows: int, columns: int, step: int) -> Quantised:
    """Indices from `encode`'s bytes. Raises PayloadError if they cannot be any encoder's."""
    return small_coder.decode(stream, rows, columns, step, shipped(1))
