"""Rate-distortion quantisation: indices that cost fewer bits in the `small` coder for a little more error.

For each coefficient, in coding order, the index nearest to it competes with the next smaller one and with zero; the
one with the least squared error + LAMBDA * bits wins, with bits from the net alone, given what was chosen before. Only
the start of the fixed-point iteration is chosen here: each index reconstructs inside its own cell, so what was
decoded from chosen indices quantises to them again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import subbands
from mripacs.codec.kwavelet.kernel import Quantised, quantise
from mripacs.codec.kwavelet.quantiser import BIAS_MORE, BIAS_ONE
from mripacs.codec.kwavelet.small_band_coder import ABOVE, BESIDE, BandState, logit_of, sum_first
from mripacs.codec.kwavelet.small_coder import Rows, visit_bands
from mripacs.codec.kwavelet.small_net import run
from mripacs.codec.kwavelet.small_shapes import SIGN, UNARY
from mripacs.codec.kwavelet.small_tables import SmallTables
from mripacs.codec.kwavelet.steps import step_table
from mripacs.core.jit import compiled, inlined, wide

# Squared error, in steps, that a bit is worth.
LAMBDA = 0.10
QUIET_BITS = 14.0  # of a one where nothing is expected
HALF_LOGIT = 2048
# Bits of an event whose logit is (k - 2048) / 256.
BITS = np.log2(1 + np.exp(-(np.arange(2 * HALF_LOGIT) - HALF_LOGIT) / 256.0))


def choose(coefficients: NDArray[np.float64], step: int, tables: SmallTables, worth: float = LAMBDA) -> Quantised:
    """Indices (rows, columns) of coefficients at grid step `step`; `worth` is the squared error that a bit is worth."""
    rows, columns = coefficients.shape
    indices = quantise(coefficients, step).indices
    steps = step_table(rows, columns)[step]
    places = {band: int(steps[b]) for b, band in enumerate(subbands(rows, columns))}

    def visit(part: Rows, chosen: NDArray[np.int32]) -> None:
        top = part.band.top + part.first
        values = np.ascontiguousarray(coefficients[top : top + len(chosen), part.band.left : part.band.right])
        scale = 1 / places[part.band]
        nearest = np.empty(values.shape, np.int32)
        _nearest(values, scale, nearest)
        sums = part.sums(np.flatnonzero((nearest > 0) & (nearest <= UNARY)))  # the net is asked there alone
        _choose_rows(part.state, sums, part.quiet, part.first, values, scale, nearest, worth, BITS, chosen)

    visit_bands(indices, step, tables, visit)
    return Quantised(indices, step, int(np.count_nonzero(indices)))


@compiled
def _nearest(values: NDArray[np.float64], scale: float, nearest: NDArray[np.int32]) -> None:
    """Magnitudes of the indices nearest to coefficients; `scale` is one over the step."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            nearest[i, j] = np.int32(abs(values[i, j]) * scale + 0.5)


@compiled
def _choose_rows(
    state: BandState,
    outside: NDArray[np.float32],
    quiet: NDArray[np.bool_],
    first: int,
    values: NDArray[np.float64],
    scale: float,
    nearest: NDArray[np.int32],
    worth: float,
    bits: NDArray[np.float64],
    indices: NDArray[np.int32],
) -> None:
    """Change rows `first` ... of the band: `indices` and the coded plane, from coefficients `values`.

    outside : sums of the first layer, one row for each place whose `nearest` is from 1 to UNARY.
    """
    rows, columns = indices.shape
    plane = state.plane
    asked = 0
    for i in range(first, first + rows):
        for j in range(columns):
            value = values[i - first, j]
            size, near = abs(value) * scale, wide(nearest[i - first, j])
            if near == 0 or near > UNARY:
                chosen = abs(wide(indices[i - first, j]))
            else:
                window, wider = _sums(plane, i, j)
                if quiet[(i - first) * columns + j] and wider == 0:
                    chosen = near if size * size - (size - near) ** 2 > worth * QUIET_BITS else 0
                else:
                    sum_first(state, outside, asked, i + ABOVE, j + BESIDE, window, wider)
                    run(state.net, state.sums, state.second, state.logits)
                    chosen = _best(state.logits, size, near, value > 0, worth, bits)
                asked += 1
            index = chosen if value > 0 else -chosen
            indices[i - first, j] = index
            plane[i + ABOVE, j + BESIDE] = index


@inlined
def _sums(plane: NDArray[np.int32], i: int, j: int) -> tuple[int, int]:
    """Magnitudes coded in the inner and the outer window of a place."""
    inner, outer = wide(0), wide(0)
    for y in range(ABOVE):
        for x in range(2 * BESIDE + 1):
            size = abs(wide(plane[i + y, j + x]))
            outer += size
            if y >= 2 and 3 <= x <= 9:
                inner += size
    for x in range(BESIDE):
        size = abs(wide(plane[i + ABOVE, j + x]))
        outer += size
        if x >= 3:
            inner += size
    return inner, outer


@inlined
def _best(
    logits: NDArray[np.float32], size: float, nearest: int, positive: bool, worth: float, bits: NDArray[np.float64]
) -> int:
    """The magnitude with the least cost among `nearest`, one less, and zero."""
    best, least, before = 0, 1e30, 0.0
    sign = logit_of(logits, SIGN)
    sign_bits = bits[HALF_LOGIT + (sign if positive else -sign)]
    for magnitude in range(nearest + 1):
        stop = bits[HALF_LOGIT - logit_of(logits, magnitude)] if magnitude < UNARY else 1.0
        if magnitude == 0 or magnitude >= nearest - 1:
            gap = size - magnitude + (BIAS_ONE if magnitude == 1 else BIAS_MORE if magnitude > 1 else 0) / 256.0
            cost = gap * gap + worth * (before + stop + (sign_bits if magnitude > 0 else 0.0))
            if cost < least:
                best, least = magnitude, cost
        if magnitude < UNARY:
            before += bits[HALF_LOGIT + logit_of(logits, magnitude)]
    return best
