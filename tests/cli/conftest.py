"""Commands run in this process: fast, and their output is at hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mripacs.cli.app import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Mripacs = Callable[..., Outcome]


@pytest.fixture
def mripacs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mripacs:
    """`mripacs("admin", "stats")` runs the entry point with these arguments."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mripacs", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def archive_folder(tmp_path, mripacs):
    """`--directory` of an archive of its own, as arguments."""
    return ("--directory", tmp_path / "archive")
