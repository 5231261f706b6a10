"""The web process: started, supervised and ended by the node, so that a big download never slows C-STORE.

The node takes the socket and hands it on. A web process that dies is replaced; connections wait in the socket's queue
meanwhile.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess

from mripacs.core.errors import SettingsError
from mripacs.core.settings import Settings
from mripacs.retrieve.recent import Recent

log = logging.getLogger(__name__)

BACKLOG = 512  # connections that wait while the process is replaced
STOP_S = 20.0  # for requests under way; then the process is killed
RESTART_S = 1.0  # between a death and the next start, so that a process that cannot start burns no processor
READY_S = 120.0  # the longest that a start may take; 1 s on a quiet machine


class WebProcess:
    """The door and its process. `start` returns when it answers; `stop` ends it in order."""

    def __init__(self, settings: Settings, node_status: str | None = None, recent: Recent | None = None) -> None:
        self._settings = settings
        self._recent = recent  # instances at hand, shared with the node's process
        self._node_status = node_status  # where the node tells its status (mripacs.core.status)
        self._socket: socket.socket | None = None
        self._process: BaseProcess | None = None
        self._ready: Connection | None = None  # the process says here that it serves
        self._launching = threading.Lock()
        self._ended = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="web supervisor", daemon=True)

    @property
    def port(self) -> int:
        """The TCP port, also where the settings left the choice to the system (0)."""
        return int(self._socket.getsockname()[1]) if self._socket else self._settings.web.port

    def start(self) -> None:
        """`launch` and `wait_until_ready`."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Listen and start the process. SettingsError when the address cannot be taken or a file of TLS is wrong."""
        from mripacs.dicomweb.server import check  # noqa: PLC0415 - the node itself needs no web framework

        check(self._settings)
        self._socket = _listen(self._settings.web.host, self._settings.web.port)
        self._launch()

    def wait_until_ready(self) -> None:
        """Return when the process serves; it is replaced from then on. Raises SettingsError when it ends instead."""
        self._await_ready()
        self._supervisor.start()
        log.info("DICOMweb listens on %s:%d", self._settings.web.host, self.port)

    def stop(self) -> None:
        """Let requests under way end, for some seconds, and close the socket."""
        with self._launching:
            self._ended.set()
        if self._process is not None:
            self._process.terminate()
            self._process.join(STOP_S)
            if self._process.is_alive():
                log.warning("the web process did not end by itself")
                self._process.kill()
                self._process.join()
        if self._supervisor.is_alive():
            self._supervisor.join(STOP_S)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a threaded process can deadlock
        self._ready, writer = context.Pipe(duplex=False)
        with self._launching:
            if self._ended.is_set():
                return
            self._process = context.Process(
                target=_serve,
                args=(self._settings, self._socket, self.port, writer, self._node_status, self._recent),
                name="mripacs-web",
            )
            self._process.start()
        writer.close()

    def _await_ready(self) -> None:
        """Return when the process serves. Raises SettingsError when it ends instead."""
        if self._ready is None or self._process is None:
            return
        wait_for([self._ready, self._process.sentinel], READY_S)
        try:
            serves = self._ready.poll() and self._ready.recv()
        except EOFError:
            serves = False
        if not serves:
            self._process.join(1)
            raise SettingsError(f"the web process does not start (exit code {self._process.exitcode})")

    def _supervise(self) -> None:
        while not self._ended.is_set():
            process = self._process
            if process is None:
                return
            process.join()
            if self._ended.wait(RESTART_S):
                return
            log.error("the web process ended with %s; starting another", process.exitcode)
            self._launch()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port} for DICOMweb: {error.strerror or error}") from error
    return listening


def _serve(
    settings: Settings,
    listening: socket.socket,
    port: int,
    ready: Connection,
    node_status: str | None,
    recent: Recent | None,
) -> None:
    """In the new process: serve until SIGTERM, or until the node is gone."""
    from mripacs.core.logging import configure_logging  # noqa: PLC0415
    from mripacs.dicomweb.server import serve  # noqa: PLC0415 - the web framework stays out of the node's process

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the node decides when this one ends
    configure_logging(settings.log)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    serve(settings, listening, port, lambda: ready.send(True), node_status, recent)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
