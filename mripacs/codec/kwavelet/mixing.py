"""Adaptive bit probabilities, mixed in the logistic domain, in integers.

A slot holds the probability of a one (21 bits) and how often it was seen (10 bits); it moves by 1/(n + 1.5) of the
surprise, n at most COUNT_LIMIT. A decision names several slots; their logits (stretch, 8 fractional bits) are summed
with weights (16 fractional bits), and the weights follow the gradient of the code length (Mahoney's lpaq, 2007).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mripacs.codec.kwavelet.range_coder import code
from mripacs.core.jit import inlined, wide

COUNT_BITS = 10
PROBABILITY_BITS = 21
COUNT_LIMIT = 1023
LOGIT_LIMIT = 2047  # logits of +-8: the cheapest decision costs 0.0005 bit
MAX_INPUTS = 10
HALF_SLOT = 1 << (PROBABILITY_BITS - 1 + COUNT_BITS)
UNIT_WEIGHT = 1 << 16
WEIGHT_LIMIT = 1 << 20  # +-16: never reached in practice, keeps hostile streams inside int32


class Machine(NamedTuple):
    """All that coding a frame changes, plus the constant tables; arrays, so that compiled code can take it."""

    buffer: NDArray[np.uint8]
    registers: NDArray[np.int64]  # of the range coder
    slots: NDArray[np.int32]  # probability << COUNT_BITS | count
    weights: NDArray[np.int32]  # (sets, MAX_INPUTS)
    stretch: NDArray[np.int32]  # (4096,) logit of the probability's top 12 bits
    squash: NDArray[np.int32]  # (4096,) probability in 1/65536 of logit - 2048
    reciprocal: NDArray[np.int32]  # (COUNT_LIMIT + 1,) 65536 / (n + 1.5)
    inputs: NDArray[np.int64]  # (MAX_INPUTS,) slots of the decision at hand
    logits: NDArray[np.int64]  # (MAX_INPUTS,)
    tuning: NDArray[np.int64]  # learning rate of the weights


def machine_of(
    buffer: NDArray[np.uint8],
    registers: NDArray[np.int64],
    start: tuple[NDArray[np.int32], NDArray[np.int32]],
    functions: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    rate: int,
) -> Machine:
    """A machine in its starting state. start : slots and weights, copied. functions : stretch, squash, reciprocal."""
    slots, weights = (array.copy() for array in start)
    inputs, logits = np.zeros((2, MAX_INPUTS), np.int64)
    return Machine(buffer, registers, slots, weights, *functions, inputs, logits, np.array([rate], np.int64))


@inlined
def decide(machine: Machine, count: int, direct: int, weight_set: int, other_set: int, bit: int) -> int:
    """Code one bit and learn from it; returns the bit.

    The inputs mixed are `direct`, a logit from elsewhere, and the slots named in machine.inputs[1:count]; their weights
    are the sums of two weight sets."""
    slots, weights, inputs, logits = machine.slots, machine.weights, machine.inputs, machine.logits
    logits[0] = min(max(direct, -LOGIT_LIMIT), LOGIT_LIMIT)
    total = logits[0] * (wide(weights[weight_set, 0]) + weights[other_set, 0])
    for k in range(1, count):
        logits[k] = machine.stretch[slots[inputs[k]] >> 19]
        total += logits[k] * (wide(weights[weight_set, k]) + weights[other_set, k])
    logit = min(max(total >> 16, -LOGIT_LIMIT), LOGIT_LIMIT)
    probability = wide(machine.squash[logit + 2048])
    bit = code(machine.buffer, machine.registers, probability, bit)
    error = ((bit << 16) - probability) * machine.tuning[0]
    goal = bit * ((1 << PROBABILITY_BITS) - 1)
    for k in range(count):
        change = (logits[k] * error + (1 << 17)) >> 18
        weights[weight_set, k] = min(max(weights[weight_set, k] + change, -WEIGHT_LIMIT), WEIGHT_LIMIT)
        weights[other_set, k] = min(max(weights[other_set, k] + change, -WEIGHT_LIMIT), WEIGHT_LIMIT)
        if k == 0:
            continue
        slot = wide(slots[inputs[k]])
        seen = slot & ((1 << COUNT_BITS) - 1)
        believed = slot >> COUNT_BITS
        believed += ((goal - believed) * machine.reciprocal[seen]) >> 16
        slots[inputs[k]] = (believed << COUNT_BITS) | min(seen + 1, COUNT_LIMIT)
    return bit


@inlined
def code_raw(machine: Machine, width: int, value: int) -> int:
    """Code `width` bits of `value`, highest first, without a model; returns the value."""
    coded = 0
    for position in range(width - 1, -1, -1):
        coded = 2 * coded + code(machine.buffer, machine.registers, 32768, (value >> position) & 1)
    return coded
