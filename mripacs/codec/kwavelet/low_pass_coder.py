"""Coding of the LL band: each index as its difference to the plane through its three coded neighbours.

A difference is coded as the bit length of its magnitude (unary, in the context of the neighbours' bit lengths), the
bits below the leading one, and its sign.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.mixing import Machine, code_raw, decide
from mripacs.core.jit import compiled, wide

LENGTHS = 26  # bit lengths 0 to 25
SLOTS = LENGTHS * LENGTHS + LENGTHS
LARGEST_INDEX = 1 << 24  # of a 16-bit image: below 2^23


@compiled
def bit_length(value: int) -> int:
    """Number of bits of a non-negative value; 0 for 0."""
    length = 0
    while value > 0:
        value >>= 1
        length += 1
    return length


@compiled
def code_low_pass(machine: Machine, indices: NDArray[np.int32], first_slot: int, weight_set: int) -> None:
    """Code the LL band (rows, columns) in raster order; fills `indices` when decoding."""
    rows, columns = indices.shape
    lengths = np.zeros((rows + 1, columns + 1), np.int64)
    for i in range(rows):
        for j in range(columns):
            west = wide(indices[i, j - 1]) if j > 0 else 0
            north = wide(indices[i - 1, j]) if i > 0 else west
            corner = wide(indices[i - 1, j - 1]) if i > 0 and j > 0 else north
            plane = west + north - corner if j > 0 else north
            context = (lengths[i, j + 1] + lengths[i + 1, j] + 1) >> 1
            difference = _code_difference(machine, indices[i, j] - plane, context, first_slot, weight_set)
            index = min(max(plane + difference, -LARGEST_INDEX), LARGEST_INDEX)
            indices[i, j] = index
            lengths[i + 1, j + 1] = bit_length(abs(difference))


@compiled
def _code_difference(machine: Machine, value: int, context: int, first_slot: int, weight_set: int) -> int:
    magnitude = abs(value)
    length = bit_length(magnitude)
    coded = 0
    while coded < LENGTHS - 1:
        machine.inputs[1] = first_slot + context * LENGTHS + coded
        machine.inputs[2] = first_slot + LENGTHS * LENGTHS + coded
        if decide(machine, 3, 0, weight_set, weight_set + 1, 1 if length > coded else 0) == 0:
            break
        coded += 1
    if coded == 0:
        return 0
    magnitude = (1 << (coded - 1)) | code_raw(machine, coded - 1, magnitude & ((1 << (coded - 1)) - 1))
    return -magnitude if code_raw(machine, 1, 1 if value < 0 else 0) == 1 else magnitude
