"""Write golden payloads: `python tests/golden/write_golden.py` adds what is missing and refuses to touch what is there.

A golden payload is for ever (G7): every later release must decode it to the pixels whose digest is in digests.json.
A new format or table version adds files beside the old ones, under a new prefix.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from mripacs import codec
from mripacs.codec.payload import unpack
from tests.codec.images import phantom

FOLDER = Path(__file__).parent
DIGESTS = FOLDER / "digests.json"


def digest(pixels: np.ndarray) -> str:
    """SHA-256 of shape, type and samples, little endian."""
    samples = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode() + samples.tobytes()).hexdigest()


def payloads() -> dict[str, bytes]:
    """What version 1 writes for each frame kind, sample type, target and odd shape."""
    x = phantom(64)
    signed = (x.astype(np.int32) - 300).astype(np.int16)
    generator = np.random.default_rng(9)
    stack = np.stack([x, x // 2, np.zeros_like(x), np.full_like(x, 77)])
    return {
        "v1-uint16-5": codec.encode(x, 0.05),
        "v1-uint16-1": codec.encode(x, 0.01),
        "v1-int16-5": codec.encode(signed, 0.05),
        "v1-uint8-max-error": codec.encode((x // 5).astype(np.uint8), max_error=6),
        "v1-k": codec.encode(x, k=40),
        "v1-odd": codec.encode(phantom(96)[5:58, 3:90], 0.03),
        "v1-row": codec.encode(x[32:33], 0.05),
        "v1-extremes": codec.encode(generator.integers(0, 65536, (40, 41), np.uint16), 0.1),
        "v1-stack": codec.encode(stack, 0.05),
        "v1-constant": codec.encode(np.full((256, 256), -32768, np.int16)),
        "v1-lossless-uint16": codec.encode_lossless(x),
        "v1-lossless-int16": codec.encode_lossless(signed),
        "v1-lossless-colour": codec.encode_lossless(generator.integers(0, 256, (2, 20, 30, 3), np.uint8)),
        "v1-lossless-raw": codec.encode_lossless(generator.integers(0, 65536, (1, 9, 2), np.uint16)),
    }


def main() -> None:
    """Add missing files and their digests."""
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for name, payload in payloads().items():
        path = FOLDER / f"{name}.bin"
        if path.exists() or name in digests:
            sys.stdout.write(f"{name}: is there, left alone\n")
            continue
        path.write_bytes(payload)
        digests[name] = digest(codec.decode(payload))
        sys.stdout.write(f"{name}: {len(payload)} bytes, {len(unpack(payload).frames)} frames\n")
    DIGESTS.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
