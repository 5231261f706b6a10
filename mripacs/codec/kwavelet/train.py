"""Make the entropy coder's table file from images: `python -m mripacs.codec.kwavelet.train OUT DIR [DIR ...]`.

DIR holds images as .npy files, (rows, columns) or (n, rows, columns) of uint8, uint16 or int16. Each chosen slice is
quantised at an error drawn log-uniformly from 0.8 to 7 %; predictions are fitted to these (`fit`), then the coder runs
over them several times, learning as it does in use, and its final state becomes the state every frame starts from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.context_coder import code_bands, encode
from mripacs.codec.kwavelet.fit import fit
from mripacs.codec.kwavelet.kernel import Quantised, transform
from mripacs.codec.kwavelet.mixing import COUNT_BITS
from mripacs.codec.kwavelet.range_coder import encoder
from mripacs.codec.kwavelet.search import candidates, goal_of
from mripacs.codec.kwavelet.tables import Tables, untrained
from mripacs.core.model import Target, TargetKind

SEED = 1
SLICES = 600
ERRORS = (0.008, 0.07)
PASSES = 3
PASS_RATE = 1  # learning rate of the mixer while training, in units of 2^-10
RATE = 3  # and in use
CONFIDENCE = 120  # counts are cut to this at the start of a frame, so that it can learn its own statistics
FIT_FRAMES = 200  # for the logistic regressions; bounds their memory (1 GB)


def train(images: Sequence[NDArray[Any]], passes: int = PASSES, confidence: int = CONFIDENCE) -> Tables:
    """Tables trained on slices (rows, columns)."""
    frames = quantised_frames(images)
    tables = fit(frames[:: -(-len(frames) // FIT_FRAMES)], untrained(PASS_RATE))
    generator = np.random.default_rng(SEED)
    for _ in range(passes):
        tables = learn(tables, [frames[k] for k in generator.permutation(len(frames))])
    return replace(tables, slots=_less_sure(tables.slots, confidence), rate=RATE)


def quantised_frames(images: Sequence[NDArray[Any]], seed: int = SEED) -> list[Quantised]:
    """Each image's fixed point at a random error target; images that have none are left out."""
    generator = np.random.default_rng(seed)
    low, high = np.log(ERRORS)
    frames = []
    for image in images:
        target = Target(TargetKind.REL_ERROR, float(np.exp(generator.uniform(low, high))))
        pixels = image.astype(np.int32)
        coefficients = transform(pixels)
        trial = next(candidates(goal_of(pixels, coefficients, target), coefficients), None)
        if trial is not None:
            frames.append(trial.point.quantised)
    return frames


def learn(tables: Tables, frames: Iterable[Quantised]) -> Tables:
    """The coder's state after coding the frames one after the other."""
    machine = tables.machine(*encoder(1))
    for frame in frames:
        code_bands(machine, frame.indices.copy(), frame.step, tables)
    return replace(tables, slots=machine.slots, weights=machine.weights)


def _less_sure(slots: NDArray[np.int32], confidence: int) -> NDArray[np.int32]:
    """Slots with counts of at most `confidence`."""
    mask = (1 << COUNT_BITS) - 1
    capped: NDArray[np.int32] = (slots & ~mask) | np.minimum(slots & mask, confidence)
    return capped


def coded_size(tables: Tables, frames: Iterable[Quantised]) -> int:
    """Bytes of frames coded one by one from the starting state."""
    return sum(len(encode(frame, tables)) for frame in frames)


def load_images(folders: Iterable[Path], count: int = SLICES) -> list[NDArray[Any]]:
    """`count` slices spread evenly over all .npy files of the folders, in name order; constant ones are left out."""
    slices: list[NDArray[Any]] = []
    for folder in folders:
        for path in sorted(folder.rglob("*.npy")):
            array = np.load(path, allow_pickle=False)
            slices += [plane for plane in np.atleast_3d(array if array.ndim == 3 else array[None]) if np.ptp(plane)]
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(count, len(slices))).astype(int))
    return [slices[k] for k in chosen]


def main(arguments: Sequence[str]) -> None:
    """Command line: OUT DIR [DIR ...]."""
    out, *folders = (Path(argument) for argument in arguments)
    images = load_images(folders)
    tables = train(images)
    out.write_bytes(tables.to_bytes())
    sys.stdout.write(f"{len(images)} slices -> {out}, {out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
