"""Quantised bands <-> bytes: the entropy coder of version 1, behind two functions.

Bands go coarse to fine, LH HL HH within a level. After each level the low-pass image of the next one is synthesised
from what was coded so far, and serves as context there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import side
from mripacs.codec.kwavelet.band_coder import BandModel, code_band
from mripacs.codec.kwavelet.bands import corner, layout, subbands
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.levels import log_levels
from mripacs.codec.kwavelet.lifting import synthesise_level
from mripacs.codec.kwavelet.low_pass_coder import code_low_pass
from mripacs.codec.kwavelet.mixing import Machine
from mripacs.codec.kwavelet.quantiser import dequantise, within_limit
from mripacs.codec.kwavelet.range_coder import OVERRUN, decoder, encoder, finish
from mripacs.codec.kwavelet.shapes import FEATURES, LARGEST, LEVEL_CLASSES, LOG_LEVELS, LOW_PASS_SET, LOW_PASS_START
from mripacs.codec.kwavelet.steps import step_table
from mripacs.codec.kwavelet.tables import Tables, shipped
from mripacs.core.errors import PayloadError

# The cheapest decision costs 0.0005 bit, so a byte stands for 16 400 coefficients at most: more is no real stream.
COEFFICIENTS_PER_BYTE = 1 << 15


def encode(quantised: Quantised, tables: Tables | None = None) -> bytes:
    """Bytes of the indices (rows, columns); the step and the size are not among them."""
    capacity = 2 * quantised.indices.size + 1024
    while True:
        buffer, registers = encoder(capacity)
        machine = (tables or shipped()).machine(buffer, registers)
        code_bands(machine, quantised.indices, quantised.step, tables or shipped())
        if registers[OVERRUN] == 0:
            return finish(buffer, registers)
        capacity *= 4


def decode(stream: bytes, rows: int, columns: int, step: int, tables: Tables | None = None) -> Quantised:
    """Indices from `encode`'s bytes. Raises PayloadError if they cannot be any encoder's."""
    if rows * columns > COEFFICIENTS_PER_BYTE * (len(stream) + 8):
        raise PayloadError(f"{len(stream)} bytes cannot hold {rows} x {columns} coefficients")
    buffer, registers = decoder(stream)
    indices = np.zeros((rows, columns), np.int32)
    code_bands((tables or shipped()).machine(buffer, registers), indices, step, tables or shipped())
    if registers[OVERRUN] == 1:
        raise PayloadError("the coded bands end too early")
    return Quantised(indices, step, int(np.count_nonzero(indices)))


def code_bands(machine: Machine, indices: NDArray[np.int32], step: int, tables: Tables) -> None:
    """Run the machine over all bands; fills `indices` when it decodes. PayloadError for impossible magnitudes."""
    rows, columns = indices.shape
    table, steps = layout(rows, columns), step_table(rows, columns)[step]
    low, *details = subbands(rows, columns)
    decoded = np.empty((rows, columns), np.int64)  # coefficients, and from the top left corner on their synthesis
    band = np.ascontiguousarray(indices[low.region])  # one compiled signature for all shapes
    code_low_pass(machine, band, LOW_PASS_START, LOW_PASS_SET)
    indices[low.region] = band
    _dequantise(indices, table[:1], steps[:1], decoded)
    for first in range(1, 1 + len(details), 3):
        height, width = corner(rows, columns, int(table[first, 4]))
        padded = side.pad_low_pass(decoded[:height, :width])
        for b in range(first, first + 3):
            band = np.ascontiguousarray(indices[details[b - 1].region])
            code_band(machine, _model(indices, b, padded, int(steps[b]), tables), band)
            indices[details[b - 1].region] = band
        _dequantise(indices, table[first : first + 3], steps[first : first + 3], decoded)
        if first + 3 <= len(details):
            height, width = corner(rows, columns, int(table[first, 4]) - 1)
            synthesise_level(decoded[:height, :width])


def _dequantise(
    indices: NDArray[np.int32], table: NDArray[np.int64], steps: NDArray[np.int64], decoded: NDArray[np.int64]
) -> None:
    if not within_limit(indices, table, steps):
        raise PayloadError("a coefficient exceeds the range of 16-bit images")
    dequantise(indices, table, steps, decoded)


def _model(indices: NDArray[np.int32], b: int, padded: NDArray[np.int64], step: int, tables: Tables) -> BandModel:
    """Side maps and weights for the band at place `b` of the coding order."""
    bands = subbands(*indices.shape)
    band = bands[b]
    shape = band.bottom - band.top, band.right - band.left
    level_class = min(band.level, LEVEL_CLASSES) - 1
    group = 4 * band.orientation + level_class
    activity, lean, size = np.empty(shape, np.int32), np.empty(shape, np.int64), np.empty(shape, np.int64)
    weights = tables.lean_patch[group], tables.size_patch[group]
    side.low_pass_maps(padded, band.orientation, step, *weights, activity, lean, size)
    sisters = np.zeros(shape, np.int32)
    for k, sister in enumerate(bands[b - band.orientation : b]):
        side.add_sister(indices[sister.region], tables.lean_sisters[group, k], sisters, lean)
    parent = side.parent_map(indices[bands[b - 3].region], *shape) if b > 3 else np.zeros(shape, np.int32)
    return BandModel(
        band.orientation,
        level_class,
        parent,
        sisters,
        activity,
        lean,
        size,
        tables.lean_neighbours[group],
        tables.size_features[group],
        tables.logarithm,
        LOG_LEVEL,
        np.zeros(FEATURES, np.int64),
    )


LOG_LEVEL = log_levels(LARGEST, LOG_LEVELS)
