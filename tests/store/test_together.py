"""Writes that share a transaction: nobody waits for what was interrupted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from mripacs.core.errors import StoreUnavailableError
from mripacs.store.together import Together
from tests.e2e.node_process import wait_until


def test_an_interrupt_ends_the_writes_of_others_too():
    """Ctrl-C while a thread commits for another one: that one gets an error of ours, at once."""
    begun, goes_on, transactions = threading.Event(), threading.Event(), []

    @contextmanager
    def writing():
        transactions.append(None)
        if len(transactions) == 1:  # the others gather behind it
            begun.set()
            goes_on.wait(10)
        yield None
        if len(transactions) == 2:
            raise KeyboardInterrupt

    together = Together(writing, joins=True)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(together.run, lambda _: 1)
        begun.wait(10)
        others = [threads.submit(together.run, lambda _: 2) for _ in range(2)]
        wait_until(lambda: len(together._gathered) == 2, 10, "the others")
        goes_on.set()
        assert first.result(10) == 1
        errors = {type(each.exception(10)) for each in others}
    assert errors == {KeyboardInterrupt, StoreUnavailableError}
    assert together.run(lambda _: 3) == 3


def test_an_interrupt_is_not_tried_again():
    times = []

    def write(_):
        times.append(None)
        raise KeyboardInterrupt

    @contextmanager
    def writing():
        yield None

    with pytest.raises(KeyboardInterrupt):
        Together(writing, joins=True).run(write)
    assert len(times) == 1
