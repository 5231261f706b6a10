"""Few heaps for many threads.

glibc gives threads heaps ("arenas") of their own, eight for each core. What an association's thread received is freed
by the thread that compressed it, so each heap keeps the room of its largest moment: while 16 associations stored 1600
instances the node grew from 148 to 187 MB and on; with few heaps to 165 or 174, and hardly further. Threads take turns
anyway.
"""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8  # malloc.h
ARENAS = 2


def limit() -> bool:
    """Let new threads share two heaps; False where the C library has no such setting."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_ARENA_MAX, ARENAS))
