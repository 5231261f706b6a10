"""Sizes of the context tables: where each context's slots begin in the one slot array.

Bands fall into CLASSES by orientation and level (1, 2, 3, 4 and coarser). A magnitude context owns UNARY slots, one for
each unary decision.
"""

from __future__ import annotations

from mripacs.codec.kwavelet import low_pass_coder

UNARY = 14  # magnitudes coded in unary before the escape
LEVEL_CLASSES = 4
CLASSES = 3 * LEVEL_CLASSES
EXPECTED_LEVELS = 32
LARGEST = 1 << 10  # sums of magnitudes are clamped here before they choose a context
LOG_LEVELS = 12  # of sums of magnitudes
MAGNITUDE_INPUTS = 9  # contexts and the size logit itself
SIGN_INPUTS = 5  # contexts and the lean itself
GAMMA_BITS = 24  # longest escape: indices stay below 2^25
FEATURES = 11  # W, N, NW, NE, WW, NN, window, parent, sisters, activity, 1
NEIGHBOURS = 6  # W, N, NW, NE, WW, NN

# fmt: off
MAGNITUDE_CONTEXTS = (
    EXPECTED_LEVELS * CLASSES,  # 0 expected size; class
    12 * 12 * 3,                # 1 nearest neighbours, parent; orientation
    12 * 12 * 3,                # 2 wide window, sisters; orientation
    144 * 3,                    # 3 W, N, NW, NE one by one; orientation
    12 * 16 * 3,                # 4 lean, expected size; orientation
    12 * 16 * 3,                # 5 low-pass activity, expected size; orientation
    12 * 12 * 4,                # 6 WW + NN, wide window; level
    12 * 12 * 3,                # 7 low-pass activity, parent + sisters; orientation
)
SIGN_CONTEXTS = (
    33 * CLASSES,               # 0 lean; class
    33 * 16,                    # 1 lean, expected size
    9 * CLASSES,                # 2 signs of W and N; class
    33 * 9,                     # 3 lean, signs of W and N
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
EXPECTED_SET = LOW_PASS_SET + 2
EXPECTED_POSITIONS = 4
SIGN_EXPECTED_SET = EXPECTED_SET + EXPECTED_LEVELS * EXPECTED_POSITIONS
NO_SET = SIGN_EXPECTED_SET + EXPECTED_LEVELS
WEIGHT_SETS = NO_SET + 1
