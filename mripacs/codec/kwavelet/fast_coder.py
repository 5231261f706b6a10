"""Quantised bands <-> bytes in about 30 ns a coefficient: the entropy coder of mode 1, behind two functions."""

from __future__ import annotations

import numpy as np

from mripacs.codec.kwavelet.bands import layout
from mripacs.codec.kwavelet.fast_frame import code_frame, room
from mripacs.codec.kwavelet.fast_range import POSITION, WORDS_MISSING, decoder, encoder, finish
from mripacs.codec.kwavelet.fast_tables import FastTables, shipped
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.quantiser import within_limit
from mripacs.codec.kwavelet.steps import step_table
from mripacs.core.errors import PayloadError

# The cheapest decision costs 2^-15 of a bit and clears 8 coefficients: no real stream holds more in a byte.
COEFFICIENTS_PER_BYTE = 1 << 21


def encode(quantised: Quantised, tables: FastTables | None = None) -> bytes:
    """Bytes of the indices (rows, columns); the step and the size are not among them."""
    tables = tables or shipped()
    rows, columns = quantised.indices.shape
    capacity = quantised.indices.size // 2 + 1024
    while True:
        words, registers = encoder(capacity)
        coder = tables.coder(words, registers, decoding=False)
        indices = quantised.indices.copy()
        bands, steps = layout(rows, columns), step_table(rows, columns)[quantised.step]
        code_frame(coder, tables.forms, bands, steps, room(rows, columns), indices)
        stream = finish(words, registers)
        if stream is not None:
            return stream
        capacity *= 4


def decode(stream: bytes, rows: int, columns: int, step: int, tables: FastTables | None = None) -> Quantised:
    """Indices from `encode`'s bytes. Raises PayloadError if they cannot be any encoder's."""
    tables = tables or shipped()
    if rows * columns > COEFFICIENTS_PER_BYTE * (len(stream) + 8):
        raise PayloadError(f"{len(stream)} bytes cannot hold {rows} x {columns} coefficients")
    words, registers = decoder(stream)
    indices = np.zeros((rows, columns), np.int32)
    bands, steps = layout(rows, columns), step_table(rows, columns)[step]
    coder = tables.coder(words, registers, decoding=True)
    code_frame(coder, tables.forms, bands, steps, room(rows, columns), indices)
    if registers[POSITION] > words.size + WORDS_MISSING:
        raise PayloadError("the coded bands end too early")
    if not within_limit(indices, bands, steps):
        raise PayloadError("a coefficient exceeds the range of 16-bit images")
    return Quantised(indices, step, int(np.count_nonzero(indices)))
