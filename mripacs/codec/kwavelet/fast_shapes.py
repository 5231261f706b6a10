"""Sizes and places in the tables of the fast coder: where each kind of decision finds its adaptive probability.

Bands fall into CLASSES by orientation and level (1, 2, 3, 4 and coarser).
"""

from __future__ import annotations

LEVEL_CLASSES = 4
CLASSES = 3 * LEVEL_CLASSES

# Logits have LOGIT_BITS fractional bits (of a nat). The size logit chooses among EXPECTED_LEVELS a quarter nat apart.
LOGIT_BITS = 14
EXPECTED_LEVELS = 64
EXPECTED_LOWEST = -9 << LOGIT_BITS
EXPECTED_SHIFT = LOGIT_BITS - 2
SIGN_LEVELS = 16
UNARY = 14  # magnitudes coded in unary before the escape
GAMMA_BITS = 24  # longest escape: indices stay below 2^25
LENGTHS = 26  # bit lengths of LL differences, 0 to 25
GROUP = 8  # coefficients that one decision may call all zero
# Only where the largest size logit among them is below this: P(nonzero) < 5 %.
QUIET = -3 << LOGIT_BITS

MAGNITUDES = 0
SIGNS = MAGNITUDES + CLASSES * EXPECTED_LEVELS * UNARY
GROUPS = SIGNS + CLASSES * SIGN_LEVELS
ESCAPES = GROUPS + CLASSES * EXPECTED_LEVELS
LOW_PASS = ESCAPES + GAMMA_BITS
SLOTS = LOW_PASS + LENGTHS * LENGTHS

# Inputs of the two linear forms, in the order of their weights.
PATCH = 5  # the low-pass patch around a coefficient is 5 x 5
PATCH_SIZE = PATCH * PATCH
AROUND = 9  # 3 x 3 places of a sister band
# Size: |low-pass gaps|, log of parent, sister, sister, activity, N, NW, NE, NN, window, W, WW, and 1.
SIZE_PARENT = PATCH_SIZE
SIZE_SISTERS = SIZE_PARENT + 1
SIZE_ACTIVITY = SIZE_SISTERS + 2
SIZE_ABOVE = SIZE_ACTIVITY + 1
SIZE_LEFT = SIZE_ABOVE + 5
SIZE_ONE = SIZE_LEFT + 2
SIZE_INPUTS = SIZE_ONE + 1
# Lean: low-pass gaps, sisters' indices, N, NW, NE, NN, W, WW.
LEAN_SISTERS = PATCH_SIZE
LEAN_ABOVE = LEAN_SISTERS + 2 * AROUND
LEAN_LEFT = LEAN_ABOVE + 4
LEAN_INPUTS = LEAN_LEFT + 2
