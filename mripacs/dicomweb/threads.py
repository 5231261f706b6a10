"""Blocking work (database, decoding) in threads, so that the event loop stays free."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import to_thread

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def in_thread(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """`function(*args, **kwargs)` in a thread of the pool."""
    return await to_thread.run_sync(lambda: function(*args, **kwargs))
