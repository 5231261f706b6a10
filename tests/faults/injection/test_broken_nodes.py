"""The harnesses of this folder find what they are made to find: the same faults, below nodes wrong on purpose."""

from __future__ import annotations

import pytest

from mripacs.core.errors import PeerError
from tests.e2e.node_process import REPOSITORY, NodeProcess
from tests.faults.injection.sender import Sender
from tests.faults.injection.test_clock import assert_served_in_time, with_clock
from tests.faults.injection.test_locked import assert_refused_in_time
from tests.faults.injection.test_postgresql import assert_nothing_is_lost, config_of, server
from tests.faults.injection.test_workers import assert_dying_workers_cost_nothing, assert_refused_without_memory

__all__ = ["server"]  # a fixture of others

HALF = """
import itertools
from mripacs.dimse import statuses
plain, numbers = statuses.failure, itertools.count()
statuses.failure = lambda *why: 0x0000 if next(numbers) % 2 else plain(*why)
"""
ALL = "from mripacs.dimse import statuses\nstatuses.failure = lambda *_: 0x0000\n"
SOON = """
from mripacs.store import database, engine
engine.BUSY_TIMEOUT_S = 2
database.Turns.__init__.__defaults__ = (2,)
"""
CUT_SHORT = """
import dataclasses
from mripacs.ingest import coding
plain = coding.keep_verbatim
coding.keep_verbatim = lambda job, why: plain(dataclasses.replace(job, dataset=job.dataset[:-2] + b"??"), why)
"""
REFUSED = """
from mripacs.core.errors import StoreUnavailableError
from mripacs.ingest import coding
def refuse(job, why):
    raise StoreUnavailableError("the codec does not work")
coding.keep_verbatim = refuse
"""
DYING = """
import os, threading
from mripacs.dimse import receiving, statuses
threading.excepthook = statuses.failure = receiving.BoundedDimse._abort = lambda *_: os._exit(1)
"""
COMPRESSED_FIRST = '[archive]\nacknowledge = "compressed"\n'  # what fails behind waits, and would be waited for
WALL_CLOCK = "from mripacs.dimse import timers\ntimers.install = lambda: None\n"


@pytest.fixture
def broken(tmp_path):
    """`broken(code, ...)` is a node, not started, whose processes run the code before anything else."""
    nodes = []

    def make(code, node=None, **options):
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
        made = node or NodeProcess(tmp_path / "node", **options)
        made.environment = made.environment | {"PYTHONPATH": f"{folder}:{REPOSITORY}"}
        nodes.append(made)
        return made

    yield make
    for node in nodes:
        if node.process is not None:
            node.kill()


@pytest.mark.parametrize("code", [ALL + SOON, HALF + SOON], ids=["all", "half"])
def test_refusals_by_a_lock_that_are_acknowledged(broken, code):
    with pytest.raises(AssertionError):
        assert_refused_in_time(broken(code, workers=0).start())


def test_failures_of_postgresql_that_are_acknowledged(broken, server):
    node = broken(HALF, config=config_of(server), workers=0).start()
    with pytest.raises(AssertionError):
        assert_nothing_is_lost(node, server, 1)


@pytest.mark.parametrize("code", [CUT_SHORT, REFUSED], ids=["altered", "refused"])
def test_objects_that_suffer_from_dying_workers(broken, code):
    with pytest.raises(AssertionError):
        assert_dying_workers_cost_nothing(broken(code, config=COMPRESSED_FIRST).start())


def test_a_node_that_dies_of_an_object_without_memory(broken):
    with pytest.raises((AssertionError, PeerError)):
        assert_refused_without_memory(broken(DYING, workers=1).start())


def test_time_outs_by_the_wall_clock(broken, tmp_path):
    clock = tmp_path / "clock"
    node = broken(WALL_CLOCK, with_clock(tmp_path, clock)).start()
    with pytest.raises(AssertionError, match="never ended"):
        assert_served_in_time(node, Sender(node.port), clock, (0,))
