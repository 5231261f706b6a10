"""The decoder's learned part: a residual convolutional network that repairs what quantisation took, in numpy.

Works on blocks of 4 x 4 pixels as 16 channels, so that six small convolutions see the whole picture. Its result is
shown to people and compared with nothing: other machines may differ in the last bit of a float.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

BLOCK = 4  # pixels of a side of a block
STEP_SCALE = 64.0  # the step's index over this is one more input
Weights = Mapping[str, NDArray[np.float32]]  # "head", "tail", "inner.N", each (out, in, 3, 3), and "....bias" (out,)


def repair(picture: NDArray[np.float32], step: int, weights: Weights) -> NDArray[np.float32]:
    """A picture (rows, columns), both multiples of BLOCK, nearer to the slice than the transform alone gives it."""
    blocks = to_blocks(picture)
    plane = np.full((*blocks.shape[:2], 1), step / STEP_SCALE, np.float32)
    state = np.maximum(_convolve(np.concatenate([blocks, plane], axis=2), weights, "head"), 0)
    for number in range(0, inner_layers(weights), 2):
        inner = np.maximum(_convolve(state, weights, f"inner.{number}"), 0)
        state = np.maximum(state + _convolve(inner, weights, f"inner.{number + 1}"), 0)
    return picture + from_blocks(_convolve(state, weights, "tail"))


def inner_layers(weights: Weights) -> int:
    """How many convolutions lie between head and tail; they go in pairs."""
    return sum(name.startswith("inner.") and not name.endswith(".bias") for name in weights)


def to_blocks(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, columns) as (rows / BLOCK, columns / BLOCK, BLOCK * BLOCK)."""
    rows, columns = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    return picture.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(rows, columns, BLOCK * BLOCK)


def from_blocks(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `to_blocks`."""
    rows, columns = blocks.shape[:2]
    return blocks.reshape(rows, columns, BLOCK, BLOCK).swapaxes(1, 2).reshape(rows * BLOCK, columns * BLOCK)


def _convolve(state: NDArray[np.float32], weights: Weights, name: str) -> NDArray[np.float32]:
    """3 x 3, zeros outside, as one product of matrices: 0.6 of the time of nine."""
    kernel, bias = weights[name], weights[f"{name}.bias"]
    rows, columns, channels = state.shape
    padded = np.zeros((rows + 2, columns + 2, channels), np.float32)
    padded[1:-1, 1:-1] = state
    windows = [padded[down : down + rows, right : right + columns] for down in range(3) for right in range(3)]
    gathered = np.concatenate(windows, axis=2).reshape(rows * columns, 9 * channels)
    flat = kernel.transpose(2, 3, 1, 0).reshape(9 * channels, -1)
    return np.asarray((gathered @ flat + bias).reshape(rows, columns, -1), np.float32)
