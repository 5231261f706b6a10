"""Adaptive binary range coder of the fast coder: 48-bit interval, 16-bit probabilities, 16 bits moved at a time.

The state lives in local variables of the loop that codes (`registers` holds it between rows), and encoding and decoding
are one function. A slot holds the probability of a one (21 bits) and how often it was seen (10 bits); it moves by
1/(n + 1.5) of the surprise, n at most COUNT_LIMIT.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.core.jit import compiled, inlined, wide

# Registers, int64: the interval's low end (decoder: the code's distance from it), its width, next word.
LOW, WIDTH, POSITION = range(3)
REGISTERS = 3
INTERVAL_BITS = 48
WORD_BITS = 16
NARROW = 1 << 32  # an interval below this takes up or gives out a word
WORD = (1 << WORD_BITS) - 1

DROPPED_ZEROS = 8  # trailing bytes that an encoder leaves out, at most
# A decoder has taken up as many words as the encoder wrote, which are that many bytes more than there may be.
WORDS_MISSING = DROPPED_ZEROS // 2 + 1

COUNT_BITS = 10
PROBABILITY_BITS = 21
COUNT_MASK = (1 << COUNT_BITS) - 1
COUNT_LIMIT = 255
# Probabilities stay this far from 0 and 1 (2^-15), so that no decision is impossible.
RAREST = 1 << (PROBABILITY_BITS - 15)
COMMONEST = (1 << PROBABILITY_BITS) - RAREST
TO_16_BITS = COUNT_BITS + PROBABILITY_BITS - WORD_BITS
HALF = 1 << (WORD_BITS - 1)
HALF_SLOT = 1 << (PROBABILITY_BITS - 1 + COUNT_BITS)


def encoder(capacity: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Room for `capacity` words, and registers to encode into it."""
    return np.zeros(capacity, np.uint16), np.array([0, 1 << INTERVAL_BITS, 0], np.int64)


def decoder(stream: bytes) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Words and registers to decode `stream`; past its end come zeros."""
    words = np.frombuffer(stream + bytes(len(stream) & 1), ">u2").astype(np.uint16)
    ahead = [int(word) for word in words[:3]] + [0, 0, 0]
    return words, np.array([ahead[0] << 32 | ahead[1] << 16 | ahead[2], 1 << INTERVAL_BITS, 3], np.int64)


def finish(words: NDArray[np.uint16], registers: NDArray[np.int64]) -> bytes | None:
    """The encoder's bytes, less trailing zeros: enough to name a value in the last interval. None: words ran out."""
    low, width, position = (int(register) for register in registers)
    if position > words.size:
        return None
    stream = int.from_bytes(words[:position].astype(">u2").tobytes(), "big")
    for kept in range(0, INTERVAL_BITS + 1, 8):
        unit = 1 << (INTERVAL_BITS - kept)
        value = -(-low // unit) * unit
        if value < low + width:
            break
    whole = (stream << INTERVAL_BITS) + value  # with its carry, if there is one
    coded = whole.to_bytes(2 * position + INTERVAL_BITS // 8, "big")
    return coded[: max(len(coded.rstrip(b"\0")), len(coded) - DROPPED_ZEROS)]


@inlined
def divide(decoding: bool, low: int, width: int, probability: int, bit: int) -> tuple[int, int, int]:
    """Narrow the interval by `bit`, or tell from the code which it is: (low, width, bit), to be followed by `exchange`.

    `probability` of a one in 1/65536, from 1 to 65535. Takes numbers only: passing an array into an inlined function
    counts its references, which costs more than the decision.
    """
    split = (width >> WORD_BITS) * probability
    if decoding:
        bit = 1 if low < split else 0
        low -= 0 if bit == 1 else split
    else:
        low += 0 if bit == 1 else split
    return low, (split if bit == 1 else width - split), bit


@inlined
def learned(slot: int, bit: int, reciprocal: int) -> int:
    """A slot's new value after `bit`; `reciprocal` is that of its count."""
    believed = slot >> COUNT_BITS
    believed += (((COMMONEST if bit == 1 else RAREST) - believed) * reciprocal) >> 16
    seen = slot & COUNT_MASK
    return (believed << COUNT_BITS) | (seen + (1 if seen < COUNT_LIMIT else 0))


@compiled
def exchange(words: NDArray[np.uint16], low: int, position: int, decoding: bool) -> int:
    """Once the interval is NARROW: write the top word of `low` with its carry, or take up the next; the new `low`.

    The caller widens the interval by a word and moves on by one. `position` beyond the words means that they ran out:
    an encoder then writes nothing more, a decoder reads zeros.
    """
    if decoding:
        return (low << WORD_BITS) | (wide(words[position]) if position < words.size else 0)
    word = low >> (INTERVAL_BITS - WORD_BITS)
    if position < words.size:
        before = position - 1
        if word > WORD:
            while words[before] == WORD:
                words[before] = 0
                before -= 1
            words[before] += 1
        words[position] = word & WORD
    return (low & (NARROW - 1)) << WORD_BITS


@compiled
def code(words: NDArray[np.uint16], registers: NDArray[np.int64], decoding: bool, probability: int, bit: int) -> int:
    """Encode `bit`, or decode one, with the state in `registers`: for rare decisions. Returns the bit."""
    low, width, bit = divide(decoding, registers[LOW], registers[WIDTH], probability, bit)
    if width < NARROW:
        low = exchange(words, low, registers[POSITION], decoding)
        width <<= WORD_BITS
        registers[POSITION] += 1
    registers[LOW], registers[WIDTH] = low, width
    return bit


class Coder(NamedTuple):
    """What all decisions of a frame share."""

    decoding: bool
    words: NDArray[np.uint16]
    registers: NDArray[np.int64]
    slots: NDArray[np.int32]
    reciprocal: NDArray[np.int32]  # (COUNT_LIMIT + 1,) 65536 / (n + 1.5)


@compiled
def decide(coder: Coder, at: int, bit: int) -> int:
    """Code one bit with the probability in slot `at`, and learn from it: for rare decisions. Returns the bit."""
    slot = wide(coder.slots[at])
    bit = code(coder.words, coder.registers, coder.decoding, slot >> TO_16_BITS, bit)
    coder.slots[at] = learned(slot, bit, wide(coder.reciprocal[slot & COUNT_MASK]))
    return bit


@compiled
def code_bits(coder: Coder, count: int, value: int) -> int:
    """Code the lowest `count` bits of `value`, highest first, without a model; returns them."""
    coded = 0
    for shift in range(count - 1, -1, -1):
        coded = 2 * coded + code(coder.words, coder.registers, coder.decoding, HALF, (value >> shift) & 1)
    return coded
