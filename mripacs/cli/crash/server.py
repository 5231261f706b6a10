"""The server under test as a process: started, killed, waited for."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mripacs.core.errors import PeerError, SettingsError
from mripacs.dimse import client

POLL_S = 0.02
KILL_TIMEOUT_S = 30.0


class Server(Protocol):
    """What a crash test needs of the server."""

    def start(self) -> None:
        """Start it; returns at once."""

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""

    def has_failed(self) -> bool:
        """Whether it ended by itself, so that waiting for it is in vain."""


@dataclass(slots=True)
class ServerProcess:
    """A server by its commands.

    start_command : runs the server; None: something else starts it again, an init system for instance.
    pid_file : holds the process ID to kill. kill_command : kills it instead. Without both the started process is.
    """

    start_command: str | None = None
    pid_file: Path | None = None
    kill_command: str | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not (self.start_command or self.pid_file or self.kill_command):
            raise SettingsError("say how the server is killed: --start-command, --pid-file or --kill-command")

    def start(self) -> None:
        """Run the start command, its output discarded, in a session of its own. Raises SettingsError."""
        if self.start_command is None:
            return
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                shlex.split(self.start_command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise SettingsError(f"--start-command cannot be run: {error}") from error

    def kill(self) -> None:
        """SIGKILL, or the kill command. Raises SettingsError when there is nothing to kill."""
        if self.kill_command is not None:
            done = subprocess.run(shlex.split(self.kill_command), check=False, capture_output=True)  # noqa: S603 - as above
            if done.returncode:
                raise SettingsError(f"--kill-command ended with {done.returncode}: {done.stderr.decode()[-200:]}")
        else:
            self._kill_by_id()
        if self._process is not None:
            self._process.wait(KILL_TIMEOUT_S)
            self._process = None

    def has_failed(self) -> bool:
        """Whether the start command ended with an error; one that ends with 0 may have started a daemon."""
        return self._process is not None and self._process.poll() not in (None, 0)

    def end(self) -> None:
        """Kill what was started here, if it still runs; a server of others' stays."""
        if self._process is not None:
            self.kill()

    def _kill_by_id(self) -> None:
        pid = self._read_pid() if self.pid_file else self._process.pid if self._process else None
        if pid is None:
            raise SettingsError("the server has not been started")
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise SettingsError(f"process {pid} may not be killed") from error
        end = time.monotonic() + KILL_TIMEOUT_S
        while self._process is None and _is_running(pid) and time.monotonic() < end:
            time.sleep(POLL_S)

    def _read_pid(self) -> int:
        try:
            return int(Path(str(self.pid_file)).read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"--pid-file {self.pid_file} holds no process ID: {error}") from error


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start_and_wait(server: Server, peer: client.Peer, timeout_s: float) -> float:
    """Seconds from the start to the first C-ECHO. Raises PeerError when none is answered within `timeout_s`."""
    begun = time.monotonic()
    server.start()
    while True:
        try:
            socket.create_connection((peer.host, peer.port), timeout=timeout_s).close()
            client.echo(peer)
        except (OSError, PeerError) as error:
            seconds = time.monotonic() - begun
            if seconds > timeout_s or server.has_failed():
                raise PeerError(f"{peer} did not start: no answer to a C-ECHO within {seconds:.1f} s") from error
            time.sleep(POLL_S)
        else:
            return time.monotonic() - begun
