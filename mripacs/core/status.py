"""How the web process sees the node's: a local socket that answers each connection with one JSON document.

The socket lies in a folder that only this user enters. A node that is killed leaves it; the next one that starts
removes it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mripacs.core.errors import SettingsError

log = logging.getLogger(__name__)

TIMEOUT_S = 2.0  # a node that does not answer within this is not ready
CHUNK_BYTES = 1 << 16
PREFIX = "mripacs-status-"  # of the folder's name, then the process ID


class StatusServer:
    """Answers with what `facts` gives at that moment. `start`, then `close`.

    Raises SettingsError when the folder for temporary files takes no socket.
    """

    def __init__(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        self._facts = facts
        remove_stale()
        self._folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")  # mode 0700
        self.address = str(Path(self._folder.name) / "status")
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listening.bind(self.address)
        except OSError as error:  # a path of more than 107 bytes, a file system without sockets
            self._listening.close()
            self._folder.cleanup()
            raise SettingsError(f"no local socket at {self.address}: {error}; set TMPDIR to another folder") from error
        self._listening.listen()
        self._thread = threading.Thread(target=self._answer_all, name="status", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more, and remove the socket."""
        if self._thread.is_alive():
            self._listening.shutdown(socket.SHUT_RDWR)  # ends the wait for the next connection
            self._thread.join(TIMEOUT_S)
        self._listening.close()
        self._folder.cleanup()

    def _answer_all(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.sendall(json.dumps(self._facts()).encode())
        except OSError as error:
            log.warning("status was not told: %s", error)


def remove_stale() -> None:
    """Remove the folders of nodes that were killed: no process has their number, and nobody answers in them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        number = folder.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdigit() and not _is_running(int(number)) and not _answers(folder / "status"):
            shutil.rmtree(folder, ignore_errors=True)  # another user's stays


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _answers(address: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(address))
    except OSError:
        return False
    return True


def ask(address: str | None) -> dict[str, Any] | None:
    """What the node says of itself; None when there is none, or it does not answer in time."""
    if address is None:
        return None
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(address)
            while chunk := connection.recv(CHUNK_BYTES):
                answer += chunk
        facts = json.loads(answer)
    except (OSError, ValueError) as error:
        log.warning("the node does not tell its status: %s", type(error).__name__)
        return None
    return facts if isinstance(facts, dict) else None
