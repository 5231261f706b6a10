"""One thread for products of small matrices: a pool of them would wait for each other longer than they compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def single_threaded() -> Iterator[None]:
    """Within, numpy's linear algebra keeps to the calling thread: on two busy cores that is ten times faster."""
    with _controller().limit(limits=1):
        yield


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - looks for libraries: 10 ms, once

    return ThreadpoolController()
