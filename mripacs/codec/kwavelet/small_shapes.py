"""Sizes of the net of the `small` coder: which inputs it has, in which order, and in which units.

Inputs are integers in 1/16 of ln(1 + magnitude); a net's first layer is the sum of four kinds of terms: one row of
weights for each *outside* input (known before the band is coded), one row chosen by the value of each *near*
coefficient (coded just before), one row for each *window* sum of coded magnitudes, one row for the band.
"""

from __future__ import annotations

from mripacs.codec.kwavelet import low_pass_coder
from mripacs.codec.kwavelet.bands import HH, HL, LH
from mripacs.codec.kwavelet.lifting import MAX_LEVELS

ORIENTATIONS = (LH, HL, HH)
UNIT = 16  # inputs are in 1/16
COMPRESSED_SIZE = 1 << 14  # entries of the table of 16 ln(1 + v / 16)

PATCH = 5  # the low-pass patch is 5 x 5, its centre left out
PATCH_INPUTS = PATCH * PATCH - 1
SHAPE_INPUTS = 8  # differences along rows, columns and diagonals, and the centre itself
PARENT_INPUTS = 6  # centre, the three nearest others, sums over 3 x 3 and 5 x 5
SISTER_INPUTS = 19  # 3 x 3 signed, 3 x 3 magnitudes, sum over 7 x 7

# Places of coefficients coded before in the same band: (row, column) offsets.
NEAR = ((0, -1), (0, -2), (-1, 0), (-2, 0), (-1, -1), (-1, 1), (-2, -1), (-2, 1), (-1, -2), (-1, 2))
NEAR_LIMIT = 23  # near coefficients are clipped to +-23
NEAR_VALUES = 2 * NEAR_LIMIT + 1
WINDOWS = 2  # 7 columns x 3 rows above and 3 to the left; 13 x 5 and 6
BAND_INPUTS = MAX_LEVELS + 1  # level, one of six; activity of the level before

UNARY = 8  # magnitude decisions that the net has a say in: > 0, > 1, ... > 7
SIGN = UNARY
PREFIXES = 6  # decisions of the escape's prefix that it has a say in
FIRST_PREFIX = SIGN + 1
OUTPUTS = UNARY + 1 + PREFIXES


def outside_inputs(orientation: int) -> int:
    """Number of outside inputs of a band: one sister more for each band of the level coded before it."""
    return PATCH_INPUTS + SHAPE_INPUTS + PARENT_INPUTS + SISTER_INPUTS * orientation


# The net's layers. Weights have WEIGHT_BITS fractional bits, activations ACTIVATION_BITS and lie in 0 ... LARGEST.
HIDDEN, SECOND = 64, 32
PADDED_OUTPUTS = 16  # of the last layer's rows: whole vectors
WEIGHT_BITS = 8
ACTIVATION_BITS = 5
LARGEST_ACTIVATION = 255
FIRST_SHIFT = 4 + WEIGHT_BITS - ACTIVATION_BITS  # sums of the first layer -> activations
SECOND_SHIFT = WEIGHT_BITS
LOGIT_SHIFT = ACTIVATION_BITS + WEIGHT_BITS - 8  # sums of the last layer -> logits with 8 fractional bits
LARGEST_INPUT = 127
EXACT_SUM = 1 << 24  # float32 sums of integers below this are exact in any order

# Contexts of the mixer. Bands fall into CLASSES by orientation and level (1, 2, 3, 4 and coarser).
LEVEL_CLASSES = 4
CLASSES = 3 * LEVEL_CLASSES
BUCKETS = 33  # of the net's logit, by one half
LOG_LEVELS = 12  # of sums of magnitudes
ESCAPES = 24  # longest prefix of an escape: indices stay below 2^25
MAGNITUDE_SLOTS = (
    BUCKETS * CLASSES,  # the net's logit; class
    LOG_LEVELS * CLASSES,  # nearest neighbours; class
    LOG_LEVELS * LOG_LEVELS * 3,  # nearest and window, parent; orientation
    LOG_LEVELS * LOG_LEVELS * 3,  # everything, sisters; orientation
    144 * 3,  # W, N, NW, NE one by one; orientation
)
SIGN_SLOTS = (
    BUCKETS * CLASSES,  # the net's logit; class
    9 * CLASSES,  # signs of W and N; class
)
MAGNITUDE_MIXED, SIGN_MIXED = len(MAGNITUDE_SLOTS) + 1, len(SIGN_SLOTS) + 1


def _starts(first: int, sizes: tuple[int, ...], each: int) -> tuple[int, ...]:
    return tuple(first + each * sum(sizes[:k]) for k in range(len(sizes) + 1))


MAGNITUDE_STARTS = _starts(0, MAGNITUDE_SLOTS, UNARY)
SIGN_STARTS = _starts(MAGNITUDE_STARTS[-1], SIGN_SLOTS, 1)
QUIET_START = SIGN_STARTS[-1]  # one slot a class
ESCAPE_START = QUIET_START + CLASSES
LOW_PASS_START = ESCAPE_START + LOG_LEVELS * ESCAPES
SLOTS = LOW_PASS_START + low_pass_coder.SLOTS

# Weight sets of the mixer; each decision sums two.
COARSE_BUCKETS = 17
MIXED_POSITIONS = 4  # > 0, > 1, > 2, the rest
SIGN_SET = CLASSES * UNARY
QUIET_SET = SIGN_SET + CLASSES
ESCAPE_SET = QUIET_SET + 1
LOW_PASS_SET = ESCAPE_SET + 1
BUCKET_SET = LOW_PASS_SET + 2
SIGN_BUCKET_SET = BUCKET_SET + COARSE_BUCKETS * MIXED_POSITIONS
NO_SET = SIGN_BUCKET_SET + COARSE_BUCKETS
WEIGHT_SETS = NO_SET + 1
