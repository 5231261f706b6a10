"""Which entropy coder a frame's mode names, and which mode an effort writes.

A coder turns indices into bytes and back and knows nothing else: `encode(Quantised) -> bytes` and
`decode(stream, rows, columns, step) -> Quantised`. All modes code the same indices, so a frame can be coded again by
another one without its pixels. A mode that was ever written is read for ever.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Protocol, cast

from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.core.errors import PayloadError
from mripacs.core.model import Effort

CONTEXTS = 0  # mixed contexts; all that version 1 wrote
FAST = 1  # one context a decision, chosen by trained linear forms
SMALL_FIRST = 2  # nets with the first tables that shipped
SMALL_NAMED = 3  # nets with other tables, named at the start of the stream
SMALL = 4  # nets with the second tables that shipped

# Mode -> module of this package; loaded when first used, since each brings its tables.
_MODULES = {
    CONTEXTS: "context_coder",
    FAST: "fast_coder",
    SMALL_FIRST: "small_first_coder",
    SMALL_NAMED: "small_named_coder",
    SMALL: "small_coder",
}
WRITTEN = {Effort.FAST: FAST, Effort.SMALL: SMALL}


class BandCoder(Protocol):
    """The two functions of a coder's module."""

    def encode(self, quantised: Quantised) -> bytes:
        """Bytes of the indices; the step and the size are not among them."""

    def decode(self, stream: bytes, rows: int, columns: int, step: int) -> Quantised:
        """Indices from `encode`'s bytes. Raises PayloadError if they cannot be any encoder's."""


@cache
def coder(mode: int) -> BandCoder:
    """The coder of a mode. Raises PayloadError for a mode that this release does not know."""
    if mode not in _MODULES:
        raise PayloadError(f"coding mode {mode} is unknown to this release")
    return cast(BandCoder, import_module(f"mripacs.codec.kwavelet.{_MODULES[mode]}"))
