"""Quantised bands <-> bytes by the `small` coder, behind the two functions that every coder has.

Order of coding as in version 1: LL, then each level from the coarsest, LH HL HH. A band is coded a few rows at a time:
what the net sees of outside inputs is summed for all places at once, by one exact matrix product; only what
depends on the coefficients just coded is left to the inner loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet import side
from mripacs.codec.kwavelet.bands import Band, corner, layout, subbands
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.levels import log_levels
from mripacs.codec.kwavelet.lifting import synthesise_level
from mripacs.codec.kwavelet.low_pass_coder import code_low_pass
from mripacs.codec.kwavelet.mixing import Machine
from mripacs.codec.kwavelet.quantiser import dequantise, within_limit
from mripacs.codec.kwavelet.range_coder import OVERRUN, decoder, encoder, finish
from mripacs.codec.kwavelet.small_band_coder import ABOVE, BESIDE, LARGEST_SUM, BandState, code_rows
from mripacs.codec.kwavelet.small_bands import activity_of, surroundings
from mripacs.codec.kwavelet.small_inputs import Surroundings, fill_rows, quiet_places
from mripacs.codec.kwavelet.small_net import Net, band_terms
from mripacs.codec.kwavelet.small_shapes import (
    HIDDEN,
    LEVEL_CLASSES,
    LOG_LEVELS,
    LOW_PASS_SET,
    LOW_PASS_START,
    PADDED_OUTPUTS,
    SECOND,
    outside_inputs,
)
from mripacs.codec.kwavelet.small_tables import SmallTables, shipped
from mripacs.codec.kwavelet.steps import step_table
from mripacs.core.errors import PayloadError

# The cheapest decision costs 0.0005 bit, so a byte stands for 16 400 coefficients at most: more is no real stream.
COEFFICIENTS_PER_BYTE = 1 << 15
PLACES = 4096  # places whose outside inputs are summed at once: 1.2 MB of inputs, 1 MB of sums


def encode(quantised: Quantised, tables: SmallTables | None = None) -> bytes:
    """Bytes of the indices (rows, columns); the step and the size are not among them."""
    tables = tables or shipped()
    capacity = 2 * quantised.indices.size + 1024
    while True:
        buffer, registers = encoder(capacity)
        code_bands(tables.machine(buffer, registers), quantised.indices, quantised.step, tables)
        if registers[OVERRUN] == 0:
            return finish(buffer, registers)
        capacity *= 4


def decode(stream: bytes, rows: int, columns: int, step: int, tables: SmallTables | None = None) -> Quantised:
    """Indices from `encode`'s bytes. Raises PayloadError if they cannot be any encoder's."""
    tables = tables or shipped()
    if rows * columns > COEFFICIENTS_PER_BYTE * (len(stream) + 8):
        raise PayloadError(f"{len(stream)} bytes cannot hold {rows} x {columns} coefficients")
    buffer, registers = decoder(stream)
    indices = np.zeros((rows, columns), np.int32)
    code_bands(tables.machine(buffer, registers), indices, step, tables)
    if registers[OVERRUN] == 1:
        raise PayloadError("the coded bands end too early")
    return Quantised(indices, step, int(np.count_nonzero(indices)))


def code_bands(machine: Machine, indices: NDArray[np.int32], step: int, tables: SmallTables) -> None:
    """Run the machine over all bands; fills `indices` when it decodes. PayloadError for impossible magnitudes."""

    def code(rows: Rows, part: NDArray[np.int32]) -> None:
        code_rows(machine, rows.state, rows.sums(), rows.quiet, rows.first, part)

    band = subbands(*indices.shape)[0]
    low = np.ascontiguousarray(indices[band.region])
    code_low_pass(machine, low, LOW_PASS_START, LOW_PASS_SET)
    indices[band.region] = low
    visit_bands(indices, step, tables, code)


class Rows(NamedTuple):
    """Some rows of a band, as far as they are known before they are coded."""

    state: BandState
    band: Band
    inputs: NDArray[np.float32]  # (outside_inputs, places)
    terms: NDArray[np.float32]  # (HIDDEN,) of the band
    quiet: NDArray[np.bool_]  # (places,)
    first: int  # row of the band

    def sums(self, places: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """The first layer's sums (places, HIDDEN) over outside inputs and the band's; of some places, or all."""
        inputs = self.inputs if places is None else self.inputs[:, places]
        total: NDArray[np.float32] = inputs.T @ self.state.net.outside + self.terms
        return total


def visit_bands(
    indices: NDArray[np.int32], step: int, tables: SmallTables, visit: Callable[[Rows, NDArray[np.int32]], None]
) -> None:
    """Go through the detail bands in coding order, a few rows at a time, and let `visit` change their indices.

    The LL band must hold its indices already. Raises PayloadError for magnitudes that no 16-bit image has.
    """
    rows, columns = indices.shape
    table, steps = layout(rows, columns), step_table(rows, columns)[step]
    bands = subbands(rows, columns)
    # Coefficients below the finest level, and from the top left corner on their synthesis.
    decoded = np.empty(((rows + 1) // 2, (columns + 1) // 2), np.int64)
    if not within_limit(indices, table[:1], steps[:1]):
        raise PayloadError("a coefficient exceeds the range of 16-bit images")
    if len(bands) > 1:
        dequantise(indices, table[:1], steps[:1], decoded)
    for first in range(1, len(bands), 3):
        height, width = corner(rows, columns, bands[first].level)
        padded = side.pad_low_pass(decoded[:height, :width])
        activity = activity_of(indices, first, tables.compressed)
        for b in range(first, first + 3):
            _visit_band(indices, bands[b], surroundings(indices, b, padded, int(steps[b])), activity, tables, visit)
        if not within_limit(indices, table[first : first + 3], steps[first : first + 3]):
            raise PayloadError("a coefficient exceeds the range of 16-bit images")
        if first + 3 < len(bands):
            dequantise(indices, table[first : first + 3], steps[first : first + 3], decoded)
            height, width = corner(rows, columns, bands[first].level - 1)
            synthesise_level(decoded[:height, :width])


def _visit_band(
    indices: NDArray[np.int32],
    band: Band,
    around: Surroundings,
    activity: int,
    tables: SmallTables,
    visit: Callable[[Rows, NDArray[np.int32]], None],
) -> None:
    net = tables.nets[band.orientation]
    rows, columns = band.bottom - band.top, band.right - band.left
    state = _state(band, around, net, (rows, columns), tables)
    terms = band_terms(net, band.level, activity)
    many = max(1, PLACES // columns)
    for first in range(0, rows, many):
        last = min(first + many, rows)
        inputs = np.empty((outside_inputs(band.orientation), (last - first) * columns), np.float32)
        quiet = np.empty((last - first) * columns, np.bool_)
        fill_rows(around, band.orientation, first, last, tables.compressed, inputs)
        quiet_places(inputs, band.orientation, quiet)
        region = slice(band.top + first, band.top + last), slice(band.left, band.right)
        part = np.ascontiguousarray(indices[region])
        visit(Rows(state, band, inputs, terms, quiet, first), part)
        indices[region] = part


def _state(band: Band, around: Surroundings, net: Net, shape: tuple[int, ...], tables: SmallTables) -> BandState:
    rows, columns = shape
    return BandState(
        band.orientation,
        min(band.level, LEVEL_CLASSES) - 1,
        net,
        tables.compressed,
        LOG_LEVEL,
        around.parent_sums,
        around.sister_sums,
        np.zeros((rows + ABOVE, columns + 2 * BESIDE), np.int32),
        np.zeros(HIDDEN, np.float32),
        np.zeros(SECOND, np.float32),
        np.zeros(PADDED_OUTPUTS, np.float32),
    )


LOG_LEVEL = log_levels(LARGEST_SUM, LOG_LEVELS)
