"""The node as a process that is killed and started again on one port, and what it leaves behind."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.dcmtk import free_port
from tests.e2e.node_process import ENVIRONMENT, children_of, command_line
from tests.faults.killing_node import KILL_WHEN

DATABASE_FILES = {"mripacs.db", "mripacs.db-wal", "mripacs.db-shm"}
EXACT, LOSSY = "EXACT", "LOSSY"  # calling titles, and what they are kept as
CONFIG = f"""
[[policy.rules]]
name = "exact"
when = {{ calling_ae = ["{EXACT}"] }}
keep = "lossless"
"""


@dataclass
class CrashNode:
    """`python -m MODULE serve` on a folder or a database URL; a Server of mripacs.cli.crash."""

    folder: Path
    database_url: str | None = None  # None: SQLite in the folder
    module: str = "mripacs.cli.app"
    workers: int = 2
    web: bool = False  # the web door and its process, too
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    temporary: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="crash-")))  # short: it takes sockets
    web_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.archive / 'mripacs.db'}"

    @property
    def moment(self) -> Path:
        """The file that tells `killing_node` when to end itself."""
        return self.folder / "moment"

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        self.moment.unlink(missing_ok=True)
        (self.folder / "node.toml").write_text(CONFIG, encoding="utf-8")
        where = ["--database", self.database_url] if self.database_url else ["--directory", str(self.archive)]
        command = [
            sys.executable, "-m", self.module, "--config", str(self.folder / "node.toml"), *where,
            "serve", "--port", str(self.port), "--workers", str(self.workers),
        ]  # fmt: skip
        if self.web:
            command += ["--web-port", str(self.web_port)]
        own = {"TMPDIR": str(self.temporary), KILL_WHEN: str(self.moment), **self.environment}
        with (self.folder / "node.log").open("ab") as log:
            self.process = self._launch(command, ENVIRONMENT | own, log)

    def _launch(self, command, environment, log):
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, if it has not ended itself."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def wait(self, timeout_s: float = 60) -> None:
        """Until it has been killed, by whomever."""
        assert self.process is not None
        code = self.process.wait(timeout_s)
        assert code == -signal.SIGKILL, f"the node ended by itself with {code}:\n{self.log[-3000:]}"
        self.kills += 1
        self.process = None

    def has_failed(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """SIGTERM; it must end in order."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert code == 0, f"the node ended with {code}:\n{self.log[-3000:]}"
        self.process = None

    def end(self) -> None:
        """Whatever state it is in: leave nothing behind."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(60)
        shutil.rmtree(self.temporary)

    def codec_processes(self) -> list[int]:
        assert self.process is not None
        return [child for child in children_of(self.process.pid) if "spawn_main" in command_line(child)]

    def files_left(self) -> set[str]:
        """What lies in its folders beside the database's own files."""
        temporary = {path.name for path in self.temporary.iterdir()}
        here = {path.name for path in self.archive.iterdir()} if self.archive.exists() else set()
        return temporary | here - DATABASE_FILES

    def processes_left(self) -> list[str]:
        """Command lines of processes that it started, or that these started, and that still run beside it."""
        own = f"{KILL_WHEN}={self.moment}".encode()
        mine = set(_with_descendants(self.process.pid)) if self.process is not None else set()
        others = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [command_line(pid) for pid in others if pid not in mine and own in _environment_of(pid)]


class ForkedNode(CrashNode):
    """A node that ends itself at chosen moments, forked from a process that has everything loaded."""

    _forker: subprocess.Popen | None = None

    def __init__(self, folder, database_url=None):
        super().__init__(folder, database_url, "tests.faults.killing_node", workers=0)

    def _launch(self, command, environment, log):
        if self._forker is None:
            pipe = subprocess.PIPE
            self._forker = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True)
        return Forked(self._forker)

    def processes_left(self):
        return [line for line in super().processes_left() if "killing_node" not in line]

    def end(self):
        super().end()
        if self._forker is not None:
            self._forker.stdin.close()
            self._forker.wait(60)
            self._forker.stdout.close()


class Forked:
    """A child of `killing_node`'s process, with as much of Popen's face as is needed."""

    def __init__(self, forker):
        self._forker = forker
        forker.stdin.write("\n")
        forker.stdin.flush()
        self.pid = int(forker.stdout.readline())
        self._code = None

    def send_signal(self, number):
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def poll(self):
        return self._read(0)

    def wait(self, timeout_s):
        code = self._read(timeout_s)
        assert code is not None, f"process {self.pid} did not end within {timeout_s} s"
        return code

    def _read(self, timeout_s):
        if self._code is None and select.select([self._forker.stdout], [], [], timeout_s)[0]:
            self._code = int(self._forker.stdout.readline())
        return self._code


def _with_descendants(pid: int) -> list[int]:
    return [pid, *(below for child in children_of(pid) for below in _with_descendants(child))]


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
