"""All bands of a frame through the fast coder, coarse to fine, in one compiled walk.

LL goes first, as differences to the plane through its three coded neighbours. Before each level the decoder's own
low-pass image at that scale is synthesised; it is context for the level's three bands, LH HL HH.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import HH
from mripacs.codec.kwavelet.fast_band import LARGEST_NEIGHBOUR, Neighbours, code_band
from mripacs.codec.kwavelet.fast_range import Coder, code_bits, decide
from mripacs.codec.kwavelet.fast_shapes import (
    AROUND,
    LEAN_ABOVE,
    LEAN_LEFT,
    LEAN_SISTERS,
    LENGTHS,
    LEVEL_CLASSES,
    LOW_PASS,
    PATCH_SIZE,
    SIZE_ABOVE,
    SIZE_ACTIVITY,
    SIZE_LEFT,
    SIZE_ONE,
    SIZE_PARENT,
    SIZE_SISTERS,
)
from mripacs.codec.kwavelet.fast_side import (
    add_activity,
    add_parent,
    add_patch,
    add_sister,
    around_log,
    logarithm,
    pad_low_pass,
    planes,
)
from mripacs.codec.kwavelet.low_pass_coder import LARGEST_INDEX, bit_length
from mripacs.codec.kwavelet.scratch import scratch
from mripacs.codec.kwavelet.swift_lifting import synthesise_level
from mripacs.codec.kwavelet.swift_quantiser import dequantise
from mripacs.core.jit import compiled, inlined, narrow, wide


class Forms(NamedTuple):
    """Trained weights of the two linear forms by band class, 14 fractional bits, whole numbers."""

    size: NDArray[np.float32]  # (CLASSES, SIZE_INPUTS)
    lean: NDArray[np.float32]  # (CLASSES, LEAN_INPUTS)


class Room(NamedTuple):
    """Memory that all bands of a frame use one after the other: fresh pages cost more than the work in them."""

    low: NDArray[np.float64]  # Mallat layout below the finest level
    synthesis: NDArray[np.float64]  # like `low`
    size: NDArray[np.float32]  # flat; of the finest band
    lean: NDArray[np.float32]
    magnitudes: NDArray[np.float32]
    logs: NDArray[np.float32]  # (3, places) of the level's bands coded so far
    signed: NDArray[np.float32]  # (2, places with borders)
    parents: NDArray[np.float32]  # (3, places) logs of the level before


@compiled
def code_frame(
    coder: Coder,
    forms: Forms,
    bands: NDArray[np.int64],
    steps: NDArray[np.int64],
    room: Room,
    indices: NDArray[np.int32],
) -> None:
    """Code the indices (rows, columns) at band steps `steps`; fills them when decoding."""
    low, synthesis = room.low, room.synthesis
    _code_low_pass(coder, bands, indices)
    if bands.shape[0] > 1:
        dequantise(indices, bands[:1], steps[:1], low)
    for first in range(1, bands.shape[0], 3):
        height, width = bands[first, 1], bands[first + 1, 3]
        for b in range(first, first + 3):
            _code_detail(coder, forms, bands, b, float(steps[b]), height, width, room, indices)
        if first + 3 < bands.shape[0]:
            dequantise(indices, bands[first : first + 3], steps[first : first + 3], low)
            height, width = bands[first + 1, 1], bands[first, 3]
            if synthesise_level(low, synthesis, height, width):
                low[:height, :width] = synthesis[:height, :width]
            else:
                low[:height, :width] = 0  # no image of 16 bits; a context all the same


def room(rows: int, columns: int) -> Room:
    """Memory for a frame of (rows, columns), good until the thread asks again."""
    height, width = (rows + 1) // 2, (columns + 1) // 2  # of the largest band
    places, bordered = height * width, (height + 2) * (width + 2)
    return Room(
        scratch("low", (height, width), np.float64),
        scratch("synthesis", (height, width), np.float64),
        scratch("size", (places,), np.float32),
        scratch("lean", (places,), np.float32),
        scratch("magnitudes", (bordered,), np.float32),
        scratch("logs", (3, places), np.float32),
        scratch("signed", (2, bordered), np.float32),
        scratch("parents", (3, ((height + 1) // 2) * ((width + 1) // 2)), np.float32),
    )


@compiled
def _code_detail(
    coder: Coder,
    forms: Forms,
    bands: NDArray[np.int64],
    b: int,
    step: float,
    height: int,
    width: int,
    room: Room,
    indices: NDArray[np.int32],
) -> None:
    """Code one detail band beside the low-pass image (height, width) of its level, in `room.low`."""
    orientation = bands[b, 5]
    band_class = LEVEL_CLASSES * orientation + min(bands[b, 4], LEVEL_CLASSES) - 1
    size_weights, lean_weights = forms.size[band_class], forms.lean[band_class]
    band = indices[bands[b, 0] : bands[b, 1], bands[b, 2] : bands[b, 3]].copy()
    size, lean = _plane(room.size, band.shape), _plane(room.lean, band.shape)
    size[:] = size_weights[SIZE_ONE]
    lean[:] = 0
    padded = pad_low_pass(room.low, height, width, step)
    add_patch(padded, size_weights[:PATCH_SIZE], lean_weights[:PATCH_SIZE], size, lean)
    add_activity(padded, orientation, size_weights[SIZE_ACTIVITY], size)
    for k in range(orientation):
        shape = _shape(bands, b - orientation + k)
        weights = lean_weights[LEAN_SISTERS + AROUND * k : LEAN_SISTERS + AROUND * (k + 1)]
        logs, signed = _plane(room.logs[k], shape), _plane(room.signed[k], (shape[0] + 2, shape[1] + 2))
        add_sister(logs, signed, size_weights[SIZE_SISTERS + k], weights, size, lean)
    if b > 3:
        add_parent(_plane(room.parents[orientation], _shape(bands, b - 3)), size_weights[SIZE_PARENT], size)
    code_band(coder, band_class, _neighbours(size_weights, lean_weights), size, lean, band)
    indices[bands[b, 0] : bands[b, 1], bands[b, 2] : bands[b, 3]] = band
    finest = b >= bands.shape[0] - 3
    if orientation < HH or not finest:
        bordered = (band.shape[0] + 2, band.shape[1] + 2)
        # HH is nobody's sister: its clipped indices may overwrite those of HL, which are not needed any more.
        signed = _plane(room.signed[min(orientation, 1)], bordered)
        fill_maps(band, _plane(room.magnitudes, bordered), signed, _plane(room.logs[orientation], band.shape))
    if orientation == HH and not finest:
        for k in range(3):
            places = _shape(bands, b - HH + k)
            room.parents[k, : places[0] * places[1]] = room.logs[k, : places[0] * places[1]]


@inlined
def _plane(flat: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The start of flat memory as a plane."""
    return flat[: shape[0] * shape[1]].reshape(shape)


@inlined
def _shape(bands: NDArray[np.int64], b: int) -> tuple[int, int]:
    """Rows and columns of a band."""
    return bands[b, 1] - bands[b, 0], bands[b, 3] - bands[b, 2]


@compiled
def fill_maps(
    band: NDArray[np.int32],
    magnitudes: NDArray[np.float32],
    signed: NDArray[np.float32],
    logs: NDArray[np.float32],
) -> None:
    """Logarithms of a coded band's 3 x 3 sums (rows, columns), and its clipped indices with a border of one."""
    planes(band, magnitudes, signed)
    around_log(magnitudes, logs)


@compiled
def _neighbours(size_weights: NDArray[np.float32], lean_weights: NDArray[np.float32]) -> Neighbours:
    left = np.empty((2, LARGEST_NEIGHBOUR + 1), np.int64)
    for k in range(2):
        for magnitude in range(LARGEST_NEIGHBOUR + 1):
            left[k, magnitude] = np.int64(size_weights[SIZE_LEFT + k] * logarithm(narrow(magnitude)))
    lean_left = np.empty(2, np.int64)
    lean_left[0], lean_left[1] = np.int64(lean_weights[LEAN_LEFT]), np.int64(lean_weights[LEAN_LEFT + 1])
    return Neighbours(size_weights[SIZE_ABOVE:SIZE_LEFT], left, lean_weights[LEAN_ABOVE:LEAN_LEFT], lean_left)


@compiled
def _code_low_pass(coder: Coder, bands: NDArray[np.int64], indices: NDArray[np.int32]) -> None:
    """Code the LL band in raster order, in the context of the bit lengths of the differences west and north."""
    rows, columns = bands[0, 1], bands[0, 3]
    lengths = np.zeros((rows + 1, columns + 1), np.int64)
    for i in range(rows):
        for j in range(columns):
            west = wide(indices[i, j - 1]) if j > 0 else 0
            north = wide(indices[i - 1, j]) if i > 0 else west
            north_west = wide(indices[i - 1, j - 1]) if i > 0 and j > 0 else north
            plane = west + north - north_west if j > 0 else north
            context = (lengths[i, j + 1] + lengths[i + 1, j] + 1) >> 1
            difference = _code_difference(coder, wide(indices[i, j]) - plane, context)
            indices[i, j] = min(max(plane + difference, -LARGEST_INDEX), LARGEST_INDEX)
            lengths[i + 1, j + 1] = bit_length(abs(difference))


@compiled
def _code_difference(coder: Coder, value: int, context: int) -> int:
    """Bit length of the magnitude in unary, the bits below the leading one, the sign."""
    magnitude, length = abs(value), bit_length(abs(value))
    found = 0
    while found < LENGTHS - 1:
        if decide(coder, LOW_PASS + context * LENGTHS + found, 1 if length > found else 0) == 0:
            break
        found += 1
    if found == 0:
        return 0
    coded = (1 << (found - 1)) | code_bits(coder, found - 1, magnitude)
    return -coded if code_bits(coder, 1, 1 if value < 0 else 0) == 1 else coded
