"""A node as its users run it: `mripacs serve` in a process of its own, with its database and its log to look at."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator

from mripacs.store import schema
from tests.real_parts import REPOSITORY

START_TIMEOUT_S = 120  # a machine without a compiled codec listens before it has one, so this is generous
STOP_TIMEOUT_S = 60
SETTLE_TIMEOUT_S = 120  # on a machine that compiles the codec meanwhile
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
    "OMP_NUM_THREADS": "1",
    "TCP_NODELAY": "1",
    "MRIPACS_WEB__ENABLED": "false",  # nodes run side by side; tests of the web door ask for it by --web-port
}


def run_mripacs(*arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """`mripacs ARGUMENTS` to its end, whatever its exit code."""
    command = [sys.executable, "-m", "mripacs.cli.app", *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout_s, check=False)


def mripacs_json(*arguments: object, exit_code: int = 0) -> Any:
    """The JSON that `mripacs ARGUMENTS --json` prints; the command must end with `exit_code`."""
    done = run_mripacs(*arguments, "--json")
    assert done.returncode == exit_code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return as soon as `condition()` holds; fail naming `what` when it does not within `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {timeout_s:.0f} s"
        time.sleep(0.02)


@dataclass
class NodeProcess:
    """`mripacs serve` on a folder; `start` and `stop`, or `kill`, and start again on the same folder."""

    folder: Path
    config: str = ""  # TOML
    workers: int = 1
    arguments: tuple[str, ...] = ()  # more flags of `serve`
    sent: list[Path] = field(default_factory=list)  # what tests sent: none of its patients may be named in the log
    environment: dict[str, str] = field(default_factory=dict)  # beside ENVIRONMENT
    wrapper: tuple[str, ...] = ()  # a command that runs the node's
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    @property
    def archive(self) -> Path:
        """The folder of its database."""
        return self.folder / "archive"

    @property
    def log(self) -> str:
        """What it wrote to standard error so far, over all its starts."""
        path = self.folder / "node.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def max_object_bytes(self) -> int:
        """The limit that its configuration sets."""
        return int(tomllib.loads(self.config)["limits"]["max_object_bytes"])

    def start(self) -> NodeProcess:
        """Start it and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config, port_file = self.folder / "node.toml", self.folder / "port"
        config.write_text(self.config, encoding="utf-8")
        port_file.unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "mripacs.cli.app", "--config", str(config), "--directory", str(self.archive),
            "serve", "--port", "0", "--port-file", str(port_file), "--workers", str(self.workers), *self.arguments,
        ]  # fmt: skip
        with (self.folder / "node.log").open("ab") as log:
            environment = ENVIRONMENT | self.environment
            self.process = subprocess.Popen([*self.wrapper, *command], env=environment, stderr=log, stdout=log)
        wait_until(lambda: self._listens(port_file), START_TIMEOUT_S, "listening")
        self.port = int(port_file.read_text())
        return self

    def _listens(self, port_file: Path) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the node ended with {self.process.returncode}:\n{self.log}"
        return port_file.exists() and port_file.read_text().endswith("\n")

    def stop(self) -> None:
        """SIGTERM; it must end in order, with exit code 0."""
        code = self._end(signal.SIGTERM)
        assert code == 0, f"the node ended with {code}:\n{self.log}"

    def kill(self) -> None:
        """SIGKILL, as a power cut does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(STOP_TIMEOUT_S)
        self.process = None
        return code

    def codec_processes(self) -> list[int]:
        """Process IDs of its codec processes, without the helper that Python's multiprocessing starts for itself."""
        assert self.process is not None
        return [child for child in children_of(self.process.pid) if "spawn_main" in command_line(child)]

    def row_counts(self) -> dict[str, int]:
        """Rows by table, read beside the running node once nothing waits to be compressed; no audit trail."""
        self.settle()
        with closing(self._database()) as database:
            names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            names = [name for name in names if name not in ("event", "origin", "sqlite_sequence")]
            return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}  # noqa: S608

    def certificates(self) -> dict[str, dict[str, Any]]:
        """Index columns of every instance, by the UID that it came with, once nothing waits to be compressed."""
        self.settle()
        with closing(self._database()) as database:
            database.row_factory = sqlite3.Row
            rows = [spelled_out(row) for row in database.execute("SELECT * FROM instance")]
        return {row["original_sop_instance_uid"] or row["sop_instance_uid"]: row for row in rows}

    def settle(self) -> None:
        """Return when a running node has compressed what it acknowledged."""
        if self.process is not None and (self.archive / "mripacs.db").exists():
            wait_until(lambda: not self._waiting(), SETTLE_TIMEOUT_S, "compressing what was acknowledged")

    def _waiting(self) -> int:
        with closing(self._database()) as database:
            count: int = database.execute("SELECT count(*) FROM waiting").fetchone()[0]
        return count

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.archive / 'mripacs.db'}?mode=ro", uri=True, timeout=30)

    def patients_in_log(self) -> set[str]:
        """Names and IDs of the patients sent that its log tells, which must be none."""
        return {
            value for value in patients_of(self.sent) if re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", self.log)
        }


def spelled_out(row: sqlite3.Row) -> dict[str, Any]:
    """A row of instance with its short forms as text."""
    kinds = {column.name: column.type for column in schema.instance.c if isinstance(column.type, TypeDecorator)}
    dialect = sqlite.dialect()
    return {
        name: kinds[name].process_result_value(row[name], dialect) if name in kinds else row[name]
        for name in row.keys()  # noqa: SIM118 - a row of sqlite3 iterates over its values
    }


def patients_of(files: Iterable[Path]) -> set[str]:
    """Patient names and IDs in files, those of three characters and more."""
    found = set()
    for path in set(files):
        dataset = dcmread(path, force=True, specific_tags=["PatientName", "PatientID"])
        found |= {str(dataset.get(keyword, "")) for keyword in ("PatientName", "PatientID")}
    return {value for value in found if len(value) > 2}


def children_of(pid: int) -> list[int]:
    """Process IDs of a process's children (Linux)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def command_line(pid: int) -> str:
    """The command line of a process; "" when there is none of that ID."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
