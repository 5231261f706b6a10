"""Sizes of the context tables: where each context's slots begin in the one slot array.

Bands fall into CLASSES by orientation and level (1, 2, 3, 4 and coarser). A magnitude context owns UNARY slots, one for
each unary decision.
"""

from __future__ import annotations

from mripacs.codec.kwavelet import low_pass_coder

UNARY = 14  # magnitudes coded in unary before the escape
LEVEL_CLASSES = 4
CLASSES = 3 * LEVEL_CLASSES
EXPECTED_LEVELS = 24
LOG_LEVELS = 12  # of sums of magnitudes
MAGNITUDE_INPUTS = 8
SIGN_INPUTS = 4
GAMMA_BITS = 24  # longest escape: indices stay below 2^25
FEATURES = 12  # W, N, NW, NE, WW, NN, window, parent, sisters, activity, |prediction|, 1
NEIGHBOURS = 6  # W, N, NW, NE, WW, NN

# fmt: off
MAGNITUDE_CONTEXTS = (
    EXPECTED_LEVELS * CLASSES,  # 0 expected magnitude; class
    12 * 12 * 3,                # 1 nearest neighbours, parent; orientation
    12 * 12 * 3,                # 2 wide window, sisters; orientation
    144 * 3,                    # 3 W, N, NW, NE one by one; orientation
    12 * 12 * 3,                # 4 prediction, expected magnitude; orientation
    12 * 12 * 3,                # 5 low-pass activity, expected magnitude; orientation
    12 * 12 * 4,                # 6 WW + NN, wide window; level
    12 * 12 * 3,                # 7 low-pass activity, parent + sisters; orientation
)
SIGN_CONTEXTS = (
    33 * CLASSES,               # 0 prediction; class
    33 * 12,                    # 1 prediction, expected magnitude
    9 * CLASSES,                # 2 signs of W and N; class
    33 * 9,                     # 3 prediction, signs of W and N
)
# fmt: on


def _starts(first: int, sizes: tuple[int, ...], each: int) -> tuple[int, ...]:
    return tuple(first + each * sum(sizes[:k]) for k in range(len(sizes) + 1))


MAGNITUDE_STARTS = _starts(0, MAGNITUDE_CONTEXTS, UNARY)
SIGN_STARTS = _starts(MAGNITUDE_STARTS[-1], SIGN_CONTEXTS, 1)
ESCAPE_START = SIGN_STARTS[-1]
LOW_PASS_START = ESCAPE_START + GAMMA_BITS
SLOTS = LOW_PASS_START + low_pass_coder.SLOTS

# Weight sets of the mixer: magnitude decisions by class and unary position, signs by class, escapes, LL.
SIGN_SET = CLASSES * UNARY
ESCAPE_SET = SIGN_SET + CLASSES
LOW_PASS_SET = ESCAPE_SET + 1
WEIGHT_SETS = LOW_PASS_SET + 1
