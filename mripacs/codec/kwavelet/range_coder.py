"""Binary range coder with 32-bit registers and 16-bit probabilities; one function both encodes and decodes.

Carry-less: the interval [low, high] is split at a point proportional to the probability of a one; leading bytes that
both ends share are moved out. The decoder reads zeros past the end of its bytes, so an encoder drops trailing zeros.
All values are int64 in compiled code, kept below 2^32 by masks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.core.jit import inlined, wide

# Registers, an int64 array of 7.
LOW, HIGH, CODE, POSITION, END, DECODING, OVERRUN = range(7)
REGISTERS = 7
_MASK = 0xFFFFFFFF
_TOP = 0xFF000000
DROPPED_ZEROS = 4
# A decoder looks 4 bytes ahead, and 4 zeros may be missing; further past the end is a damaged or hostile stream.
SLACK = 8


def encoder(capacity: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Buffer of `capacity` bytes and registers to encode into it."""
    registers = np.zeros(REGISTERS, np.int64)
    registers[HIGH] = _MASK
    registers[END] = capacity
    return np.zeros(capacity, np.uint8), registers


def decoder(stream: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Buffer and registers to decode `stream`."""
    buffer = np.frombuffer(stream, np.uint8).copy()  # writable: the encoder's signature
    registers = np.zeros(REGISTERS, np.int64)
    registers[HIGH] = _MASK
    registers[END] = buffer.size
    registers[DECODING] = 1
    registers[CODE] = int.from_bytes(stream[:4].ljust(4, b"\0"), "big")
    registers[POSITION] = 4
    return buffer, registers


def finish(buffer: NDArray[np.uint8], registers: NDArray[np.int64]) -> bytes:
    """The encoder's bytes: enough of them to name a value inside the last interval, without trailing zeros."""
    low, high = int(registers[LOW]), int(registers[HIGH])
    tail = b""
    for count in range(5):
        unit = 1 << (32 - 8 * count)
        value = -(-low // unit) * unit
        if value <= high:
            tail = value.to_bytes(5, "big")[1 : 1 + count]
            break
    stream = buffer[: registers[POSITION]].tobytes() + tail
    kept = stream.rstrip(b"\0")
    return stream[: max(len(kept), len(stream) - DROPPED_ZEROS)]


@inlined
def code(buffer: NDArray[np.uint8], registers: NDArray[np.int64], probability: int, bit: int) -> int:
    """Encode `bit`, or decode and return it; `probability` of a one in 1/65536, from 1 to 65535.

    OVERRUN becomes 1 when the encoder's buffer is full or the decoder is far past its end; coding goes on harmlessly.
    """
    low, high = registers[LOW], registers[HIGH]
    middle = low + (((high - low) * probability) >> 16)
    if registers[DECODING] == 1:
        bit = 1 if registers[CODE] <= middle else 0
    if bit == 1:
        high = middle
    else:
        low = middle + 1
    while ((low ^ high) & _TOP) == 0:
        _shift(buffer, registers, high >> 24)
        low = (low << 8) & _MASK
        high = ((high << 8) & _MASK) | 255
    registers[LOW], registers[HIGH] = low, high
    return bit


@inlined
def _shift(buffer: NDArray[np.uint8], registers: NDArray[np.int64], byte: int) -> None:
    """Move one byte out of (encoder) or into (decoder) the registers."""
    position, end = registers[POSITION], registers[END]
    if registers[DECODING] == 1:
        following = wide(buffer[position]) if position < end else 0
        registers[CODE] = ((registers[CODE] << 8) & _MASK) | following
        if position > end + SLACK:
            registers[OVERRUN] = 1
    elif position < end:
        buffer[position] = byte
    else:
        registers[OVERRUN] = 1
    registers[POSITION] = position + 1
