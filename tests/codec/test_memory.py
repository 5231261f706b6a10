"""Coding and decoding take memory in proportion to the frame, and not much of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.real_parts import REPOSITORY

ROWS = 2048
LIMIT = 20  # sizes of the frame, over a warm process; measured 17.0 and 15.2, 17.0 and 9.0, 15.6 and 2.7

SCRIPT = """
import sys, numpy as np
from mripacs import codec

def encode(pixels):
    return codec.encode_lossless(pixels) if how == "lossless" else codec.encode(pixels, 0.05, effort=how)

def field(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":")) * 1024

def peak(work):
    open("/proc/self/clear_refs", "w").write("5")
    before = field("VmRSS")
    result = work()
    print((field("VmHWM") - before) / frame.nbytes)
    return result

how, rows = sys.argv[1], int(sys.argv[2])
y, x = np.mgrid[:rows, :rows]
noise = np.random.default_rng(1).normal(0, 8, (2, rows, rows))
blob = 600 * np.exp(-((x - rows / 2) ** 2 + (y - rows / 2) ** 2) / (rows / 3) ** 2)
frame = np.hypot(blob + noise[0], noise[1]).astype(np.uint16)
del y, x, noise, blob
codec.decode(encode(frame[:96, :96]))
payload = peak(lambda: encode(frame))
peak(lambda: codec.decode(payload))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.parametrize("how", ["fast", "small", "lossless"])
def test_peak_is_at_most_twenty_frames(how: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, how, str(ROWS)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    encoding, decoding = map(float, result.stdout.split())
    assert 1 < encoding <= LIMIT
    assert decoding <= LIMIT
