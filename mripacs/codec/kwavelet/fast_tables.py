"""What the fast coder was trained to: linear forms and the probabilities that every frame starts from.

`fast_tables_v1.npz` is part of the format: payloads of mode 1 decode with these very integers. `fast_train` makes such
a file.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.fast_frame import Forms
from mripacs.codec.kwavelet.fast_range import COUNT_LIMIT, HALF_SLOT, Coder
from mripacs.codec.kwavelet.fast_shapes import CLASSES, LEAN_INPUTS, SIZE_INPUTS, SLOTS
from mripacs.core.errors import CodecError

FILE_NAME = "fast_tables_v1.npz"
DIGEST = "373ad83c737854a113d6a2e6ee41b9f3edfb9eec56aaa16144eea972f6384755"
RECIPROCAL = np.round(65536 / (np.arange(COUNT_LIMIT + 1) + 1.5)).astype(np.int32)


@dataclass(frozen=True, slots=True)
class FastTables:
    """Everything the coder needs to start; arrays are never changed."""

    forms: Forms
    slots: NDArray[np.int32]  # (SLOTS,) probability << COUNT_BITS | count

    def coder(self, words: NDArray[np.uint16], registers: NDArray[np.int64], *, decoding: bool) -> Coder:
        """A coder in its starting state."""
        return Coder(decoding, words, registers, self.slots.copy(), RECIPROCAL)

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        file = io.BytesIO()
        size, lean = (form.astype(np.int32) for form in self.forms)
        np.savez_compressed(file, size=size, lean=lean, slots=self.slots)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> FastTables:
        """Tables from a file's bytes."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(
                Forms(arrays["size"].astype(np.float32), arrays["lean"].astype(np.float32)), arrays["slots"].copy()
            )


@lru_cache(maxsize=1)
def shipped() -> FastTables:
    """The tables in the package; raises CodecError if the file is not the one this version was made with."""
    content = resources.files(__package__).joinpath(FILE_NAME).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGEST:
        raise CodecError(f"{FILE_NAME} has SHA-256 {digest}, expected {DIGEST}: the installation is damaged")
    return FastTables.from_bytes(content)


def untrained() -> FastTables:
    """Tables that know nothing yet: every probability one half, no predictions."""
    forms = Forms(np.zeros((CLASSES, SIZE_INPUTS), np.float32), np.zeros((CLASSES, LEAN_INPUTS), np.float32))
    return FastTables(forms, np.full(SLOTS, HALF_SLOT, np.int32))
