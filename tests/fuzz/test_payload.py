"""Hostile payloads: whatever bytes end in an image or in PayloadError, in bounded time and memory."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from mripacs import codec
from mripacs.core.errors import PayloadError
from tests.fuzz.memory import PeakMemory

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.bin"))
PAYLOADS = {path.stem: path.read_bytes() for path in GOLDEN}
LONGEST_S = 10.0  # on a busy machine; 0.05 is usual
MOST_BYTES = 300 * 2**20  # of a frame that claims as much as its bytes allow


def sealed(body: bytes) -> bytes:
    """With the checksum that it must have: without, nothing behind the checksum is ever reached."""
    return body + struct.pack("<I", zlib.crc32(body))


def use(payload: bytes) -> str:
    start = time.perf_counter()
    try:
        pixels = codec.decode(payload)
    except PayloadError as error:
        outcome = type(error).__name__
    else:
        outcome = "image"
        assert pixels.size >= 1
    assert time.perf_counter() - start < LONGEST_S
    return outcome


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A golden payload with some bytes changed, cut out or put in, mostly near its beginning, and a right checksum."""
    body = bytearray(PAYLOADS[draw(st.sampled_from(sorted(PAYLOADS)))][:-4])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(body)) | st.integers(0, min(24, len(body))))
        gone = draw(st.sampled_from([0, 1, 1, 1, 2, 200]))
        body[at : at + gone] = draw(st.binary(max_size=4))
    return sealed(bytes(body))


@settings(max_examples=300)
@given(damaged())
@example(sealed(b""))
@example(sealed(b"\xb5\x11"))
def test_damaged_payloads(payload: bytes) -> None:
    event(use(payload))


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_bytes_that_begin_like_a_payload(rest: bytes) -> None:
    for kind in (0x11, 0x12):
        event(use(sealed(bytes([0xB5, kind]) + rest)))


def leb128(number: int) -> bytes:
    digits = []
    while True:
        number, low = number >> 7, number & 0x7F
        digits.append(low | (0x80 if number else 0))
        if not number:
            return bytes(digits)


def claiming(rows: int, columns: int, frame: bytes, kind: int = 0x11) -> bytes:
    return sealed(bytes([0xB5, kind, 1]) + leb128(rows) + leb128(columns) + frame)


ZLIB_BOMB = b"\x60" + zlib.compress(bytes(2**28), 9)
ABSURD = {
    "most rows and columns that can be written": claiming(2**35 - 1, 2**35 - 1, b"\x00\x00"),
    "a constant of 2^40 samples": claiming(2**20, 2**20, b"\x00\x00"),
    "a billion coefficients in 8 bytes": claiming(2**15, 2**15, b"\x2b\x00\x04" + bytes(8)),
    "one row of 2^28 in 8 bytes": claiming(1, 2**28, b"\x2b\x00\x04" + bytes(8)),
    "256 MiB of zeros behind zlib, for 16 pixels": claiming(4, 4, ZLIB_BOMB, 0x12),
    "256 MiB of zeros behind zlib, for 2^30 pixels": claiming(2**15, 2**15, ZLIB_BOMB, 0x12),
    "more frames than bytes": sealed(bytes([0xB5, 0x11, 0b1001, 4, 4]) + leb128(2**34) + bytes(50)),
    "frames longer than the payload": sealed(bytes([0xB5, 0x11, 0b1001, 4, 4, 2]) + leb128(2**34) * 2 + bytes(50)),
}


@pytest.mark.parametrize("what", ABSURD)
def test_absurd_claims_are_refused_without_memory(what: str) -> None:
    with PeakMemory() as memory:
        assert use(ABSURD[what]).endswith("Error")
    assert memory.growth < 64 * 2**20, what


@settings(max_examples=60)
@given(st.integers(1, 2**16), st.integers(1, 2**16), st.binary(min_size=1, max_size=64), st.sampled_from([0x11, 0x12]))
def test_memory_follows_what_the_bytes_allow(rows: int, columns: int, frame: bytes, kind: int) -> None:
    with PeakMemory() as memory:
        event(use(claiming(rows, columns, b"\x2b" + frame, kind)))
    assert memory.growth < MOST_BYTES
