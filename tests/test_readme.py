"""The README's Python blocks run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.e2e.node_process import ENVIRONMENT
from tests.real_parts import REPOSITORY

BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def test_there_are_blocks():
    assert len(BLOCKS) >= 2
    assert any("evt_handlers" in block for block in BLOCKS)
    assert any("Archive.open" in block for block in BLOCKS)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number, tmp_path):
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", BLOCKS[number]]
    done = subprocess.run(
        command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
