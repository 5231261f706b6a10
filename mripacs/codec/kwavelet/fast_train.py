"""Make the fast coder's table file: `python -m mripacs.codec.kwavelet.fast_train OUT DIR [DIR ...]`.

DIR holds images as .npy files; slices are chosen and quantised as `train` does. Linear forms are fitted to a part of
them (`fast_fit`); then the coder runs over all several times, learning as it does in use, and the state it ends in
becomes the state every frame starts from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.bands import layout
from mripacs.codec.kwavelet.fast_fit import fit
from mripacs.codec.kwavelet.fast_frame import code_frame, room
from mripacs.codec.kwavelet.fast_range import COUNT_MASK, encoder
from mripacs.codec.kwavelet.fast_tables import FastTables, untrained
from mripacs.codec.kwavelet.kernel import Quantised
from mripacs.codec.kwavelet.steps import step_table
from mripacs.codec.kwavelet.train import load_images, quantised_frames

SEED = 1
PASSES = 2
# Counts are cut to this at the start of a frame, so that it can learn its own statistics: of 8 to 500, on series left
# out of training, 16 to 40 are within 0.1 %, 120 takes 0.5 % more.
CONFIDENCE = 24
FIT_FRAMES = 200  # for the regressions; bounds their memory (1 GB)


def train(frames: Sequence[Quantised], passes: int = PASSES, confidence: int = CONFIDENCE) -> FastTables:
    """Tables trained on quantised frames."""
    tables = replace(untrained(), forms=fit(list(frames[:: -(-len(frames) // FIT_FRAMES)])))
    generator = np.random.default_rng(SEED)
    for _ in range(passes):
        tables = learn(tables, [frames[k] for k in generator.permutation(len(frames))])
    return replace(tables, slots=_less_sure(tables.slots, confidence))


def learn(tables: FastTables, frames: Sequence[Quantised]) -> FastTables:
    """The coder's state after coding the frames one after the other."""
    words, registers = encoder(0)
    coder = tables.coder(words, registers, decoding=False)
    for frame in frames:
        bands, steps = layout(*frame.indices.shape), step_table(*frame.indices.shape)[frame.step]
        code_frame(coder, tables.forms, bands, steps, room(*frame.indices.shape), frame.indices.copy())
    return replace(tables, slots=coder.slots)


def _less_sure(slots: NDArray[np.int32], confidence: int) -> NDArray[np.int32]:
    """Slots with counts of at most `confidence`."""
    capped: NDArray[np.int32] = (slots & ~COUNT_MASK) | np.minimum(slots & COUNT_MASK, confidence)
    return capped


def main(arguments: Sequence[str]) -> None:
    """Command line: OUT DIR [DIR ...]."""
    out, *folders = (Path(argument) for argument in arguments)
    images = load_images(folders)
    tables = train(quantised_frames(images))
    out.write_bytes(tables.to_bytes())
    sys.stdout.write(f"{len(images)} slices -> {out}, {out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
