"""What starting costs: help loads nothing heavy, and output that nobody reads is no error."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.node_process import ENVIRONMENT, run_mripacs

SCRIPT = """
import json, sys
sys.argv = ["mripacs", *{arguments}]
from mripacs.cli.app import main
try:
    main()
except SystemExit:
    pass
print("\\n" + json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


HEAVY = {
    "torch", "numba", "imagecodecs", "pynetdicom", "sqlalchemy", "alembic", "gdcm", "h5py", "fastmri", "matplotlib",
}  # fmt: skip


def modules_of(*arguments):
    """Top-level modules that a command loads."""
    script = SCRIPT.format(arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("admin", "--help"), ("serve", "--help"), ("import-kspace", "--help"), ("--version",)],
    ids=" ".join,
)
def test_help_is_light(arguments):
    assert modules_of(*arguments) & HEAVY == set()


def test_clients_load_no_codec():
    assert modules_of("echo", "127.0.0.1", "1") & {"torch", "numba", "imagecodecs"} == set()


def test_a_pipe_that_closes_is_no_error():
    command = f"{sys.executable} -m mripacs.cli.app admin policy list --json | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")


def test_errors_of_a_process():
    done = run_mripacs("--config", "/nowhere.toml", "serve")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.count("\n") == 1
