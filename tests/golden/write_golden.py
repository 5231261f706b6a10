"""Write golden payloads: `python tests/golden/write_golden.py` adds what is missing and refuses to touch what is there.

A golden payload is for ever (G7): every later release must decode it to the pixels whose digest is in digests.json.
A new format or table version adds files beside the old ones, under a new prefix.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from mripacs import codec
from mripacs.codec.payload import unpack
from mripacs.codec.repack import repack
from tests.codec.images import phantom

FOLDER = Path(__file__).parent
DIGESTS = FOLDER / "digests.json"


def digest(pixels: np.ndarray) -> str:
    """SHA-256 of shape, type and samples, little endian."""
    samples = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode() + samples.tobytes()).hexdigest()


def payloads() -> dict[str, Callable[[], bytes]]:
    """What version 2 writes for each frame kind of codec kwavelet, sample type, target and odd shape.

    Files of version 1 were written by version 1, those named v2-small with the first tables of `small`: they cannot be
    made again.
    """
    x = phantom(64)
    signed = (x.astype(np.int32) - 300).astype(np.int16)
    generator = np.random.default_rng(9)
    noise = np.random.default_rng(10).integers(0, 65536, (40, 41), np.uint16)
    stack = np.stack([x, x // 2, np.zeros_like(x), np.full_like(x, 77)])
    return {
        "v2-uint16-5": lambda: codec.encode(x, 0.05),
        "v2-uint16-1": lambda: codec.encode(x, 0.01),
        "v2-int16-5": lambda: codec.encode(signed, 0.05),
        "v2-uint8-max-error": lambda: codec.encode((x // 5).astype(np.uint8), max_error=6),
        "v2-k": lambda: codec.encode(x, k=40),
        "v2-noise": lambda: codec.encode(phantom(96), noise=0.5),
        "v2-odd": lambda: codec.encode(phantom(96)[5:58, 3:90], 0.03),
        "v2-row": lambda: codec.encode(x[32:33], 0.05),
        "v2-extremes": lambda: codec.encode(generator.integers(0, 65536, (40, 41), np.uint16), 0.1),
        "v2-stack": lambda: codec.encode(stack, 0.05),
        "v2-small2-uint16-5": lambda: codec.encode(phantom(128), 0.05, effort="small"),
        "v2-small2-uint16-1": lambda: codec.encode(x, 0.01, effort="small"),
        "v2-small2-int16-5": lambda: codec.encode(signed, 0.05, effort="small"),
        "v2-small2-uint8-max-error": lambda: codec.encode((x // 5).astype(np.uint8), max_error=6, effort="small"),
        "v2-small2-k": lambda: codec.encode(x, k=40, effort="small"),
        "v2-small2-odd": lambda: codec.encode(phantom(96)[5:58, 3:90], 0.03, effort="small"),
        "v2-small2-tiny": lambda: codec.encode(phantom(64)[20:44, 18:44], 0.04, effort="small"),
        "v2-small2-extremes": lambda: codec.encode(noise, 0.1, effort="small"),
        "v2-small2-stack": lambda: codec.encode(stack, 0.05, effort="small"),
        "v2-small2-repacked": lambda: repack(codec.encode(phantom(96)[:, 7:80], 0.02)),
    }


def main() -> None:
    """Add missing files and their digests."""
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for name in digests:
        sys.stdout.write(f"{name}: is there, left alone\n")
    for name, write in payloads().items():
        path = FOLDER / f"{name}.bin"
        if path.exists() or name in digests:
            continue
        payload = write()
        path.write_bytes(payload)
        digests[name] = digest(codec.decode(payload))
        sys.stdout.write(f"{name}: {len(payload)} bytes, {len(unpack(payload).frames)} frames\n")
    DIGESTS.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
