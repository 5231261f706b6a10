"""Codec processes: they die alone, are replaced, and never outlive the node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mripacs.core.errors import PayloadError, WorkerLostError
from mripacs.ingest.workers import InCaller, ProcessWorkers, start_workers


def _no_warm_up() -> None:
    """The codec is not needed here."""


def _double(number: int) -> int:
    return 2 * number


def _process_id(_: object) -> int:
    return os.getpid()


def _fail(_: object) -> None:
    raise PayloadError("damaged")


def _die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(marker: str) -> str:
    """The first process that gets here dies, the next one answers."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return "survived"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@pytest.fixture
def workers() -> Iterator[ProcessWorkers]:
    pool = ProcessWorkers(1, _no_warm_up)
    yield pool
    pool.close()


def test_no_workers_means_the_callers_thread() -> None:
    workers = start_workers(0, _no_warm_up)
    assert isinstance(workers, InCaller)
    assert workers.run(_process_id, None) == os.getpid()


def test_jobs_run_in_another_process(workers: ProcessWorkers) -> None:
    workers.wait_until_ready()
    assert workers.run(_double, 21) == 42
    assert workers.run(_process_id, None) != os.getpid()


def test_an_error_of_a_job_is_the_callers(workers: ProcessWorkers) -> None:
    with pytest.raises(PayloadError, match="damaged"):
        workers.run(_fail, None)
    assert workers.run(_double, 1) == 2


def test_a_job_whose_process_was_killed_is_tried_again(workers: ProcessWorkers, tmp_path: Path) -> None:
    assert workers.run(_die_once, str(tmp_path / "died")) == "survived"


def test_a_job_that_kills_every_process_is_given_up_and_others_go_on(workers: ProcessWorkers) -> None:
    with pytest.raises(WorkerLostError, match="3 times"):
        workers.run(_die, None)
    assert workers.run(_double, 4) == 8


ORPHAN_MAKER = """
import os, signal, sys
from tests.ingest.test_workers import ProcessWorkers, _no_warm_up, _process_id
if __name__ == "__main__":
    workers = ProcessWorkers(1, _no_warm_up)
    print(workers.run(_process_id, None), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_when_the_node_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "node.py"
    script.write_text(ORPHAN_MAKER)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=120, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    # The pipe to this test closes when the last process that holds it, the worker, is gone: `run` waited for that.
    assert not _is_running(int(done.stdout))


def _is_running(process_id: int) -> bool:
    """Whether a process does anything; one that ended but that nobody asked for its exit code (Z) does not."""
    status = Path(f"/proc/{process_id}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
