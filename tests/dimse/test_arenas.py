"""Threads share two heaps once the server has asked for it: counted by the heaps that the C library tells of."""

from __future__ import annotations

import subprocess
import sys

import pytest

MANY_THREADS = """
import ctypes, sys, threading
from mripacs.dimse import arenas
if sys.argv[1] == "limit" and not arenas.limit():
    sys.exit(77)
together = threading.Barrier(16)
def allocate():
    together.wait()
    kept = [bytes(70_000) for _ in range(20)]
    together.wait()
    del kept
threads = [threading.Thread(target=allocate) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""


def heaps(mode):
    done = subprocess.run([sys.executable, "-c", MANY_THREADS, mode], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("another C library")
    return done.stderr.count("Arena ")


def test_threads_share_two_heaps():
    assert 1 <= heaps("limit") <= 2


def test_they_would_not_without_being_told():
    """When this fails, the C library has changed its ways: drop ours."""
    assert heaps("leave") > 2
