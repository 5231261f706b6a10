"""The compiled walk, in processes that have loaded it: `mripacs --help` shall not wait for numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mripacs.dicom.headers import Buffer, Dialect
from mripacs.dicom.spans import Rows

_FIRST = bytes.fromhex("0800 0500 4353 0000 0800 0600 5351 0000 ffffffff feffdde0 00000000")  # two elements
_loaded: list[Callable[[Any, int, int, int], tuple[Rows, int, int, int]]] = []


def load() -> None:
    """Load it, the first time on a machine compile it: 0.6 and 6 seconds. From then on `scan` uses it."""
    from mripacs.dicom.compiled_walk import EXPLICIT, walk  # noqa: PLC0415 - numba

    walk(_seen(_FIRST), EXPLICIT, 2, 2)
    _loaded[:] = [walk]


def walk_plain(dataset: Buffer, dialect: Dialect, most: int, most_nested: int) -> tuple[Rows, int, int, int] | None:
    """What `compiled_walk.walk` gives; None where it is not loaded."""
    if not _loaded:
        return None
    code = 0 if dialect.implicit else 2 if dialect.big_endian else 1
    return _loaded[0](_seen(dataset), code, most, most_nested)


def _seen(dataset: Buffer) -> Any:
    data = np.frombuffer(dataset, np.uint8)
    data.flags.writeable = False  # one form of argument, whatever the buffer is
    return data
