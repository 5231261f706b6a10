"""DCMTK's programs, started without Nagle's algorithm, with a time limit, and with their output where they fail."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.node_process import wait_until
from tests.real_parts import program

TIMEOUT_S = 240
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}

# What storescu must propose so that a file leaves in its own transfer syntax.
PROPOSALS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}


def run(name: str, *arguments: object, ok: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    """A DCMTK program to its end; its exit code must be one of `ok`."""
    command = [str(program(name)), *map(str, arguments)]
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
    )
    assert done.returncode in ok, f"{' '.join(command)[:2000]}\nexit code {done.returncode}\n{output_of(done)[-3000:]}"
    return done


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """Standard output and error together."""
    return done.stdout + done.stderr


def storescu(port: int, files: Sequence[Path], *options: object, ok: Sequence[int] = (0,)) -> str:
    """C-STORE files in one association; the output, verbose."""
    return output_of(run("storescu", "-v", "-aec", "MRIPACS", *options, "127.0.0.1", port, *files, ok=ok))


def keys(level: str, **values: str) -> list[str]:
    """`-k` options of findscu, getscu and movescu for a level and keys by keyword."""
    options = ["-k", f"QueryRetrieveLevel={level}"]
    for keyword, value in values.items():
        options += ["-k", f"{keyword}={value}" if value else keyword]
    return options


def getscu(port: int, out: Path, level: str, *options: object, ok: Sequence[int] = (0,), **values: str) -> str:
    """C-GET in the study root model, received files written bit for bit; the output, verbose."""
    out.mkdir(parents=True, exist_ok=True)
    arguments = ["-v", "-S", "+B", "-aec", "MRIPACS", "-od", out, *options, *keys(level, **values)]
    return output_of(run("getscu", *arguments, "127.0.0.1", port, ok=ok))


def movescu(port: int, destination: str, level: str, *options: object, ok: Sequence[int] = (0,), **values: str) -> str:
    """C-MOVE in the study root model to an application entity that is running already; the output, verbose."""
    arguments = ["-v", "-S", "-aec", "MRIPACS", "-aem", destination, *options, *keys(level, **values)]
    return output_of(run("movescu", *arguments, "127.0.0.1", port, ok=ok))


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class StoreScp:
    """DCMTK's storescp writing what it gets, bit for bit, as `<modality>.<SOP Instance UID>` files."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, port: int, *options: str) -> StoreScp:
        """Start it on a port and wait until it listens."""
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(program("storescp")), "+B", *options, "-od", str(folder), str(port)]
        with (folder.parent / f"{folder.name}.log").open("ab") as log:
            process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
        wait_until(lambda: listening(port), 20, "storescp listening")
        return cls(folder, port, process)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)

    def files(self) -> list[Path]:
        """What it received."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def listening(port: int) -> bool:
    """Whether somebody listens on a TCP port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
