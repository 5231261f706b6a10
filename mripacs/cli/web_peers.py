"""DICOMweb servers to measure and compare: our own web process, and Orthanc with its plug-in, each in a folder."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from mripacs.core.errors import PeerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mripacs.core.settings import Settings

ROOT = "/dicom-web"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # where Debian's orthanc-dicomweb puts it
BOUNDARY = "mripacs-bench"
START_S = 60.0
TIMEOUT_S = 300.0


class WebServer(Protocol):
    """A running DICOMweb server. Use as a context manager."""

    name: str

    @property
    def port(self) -> int:
        """Where it listens."""

    def __enter__(self) -> Self:
        """Start it; returns when it answers."""

    def __exit__(self, *_: object) -> None:
        """End it."""


class OurServer:
    """The web process alone, over an archive of its own."""

    name = "mripacs"

    def __init__(self, settings: Settings) -> None:
        from mripacs.dicomweb.process import WebProcess  # noqa: PLC0415 - `mripacs --help` stays light

        self._process = WebProcess(settings)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._process.port

    def __enter__(self) -> Self:
        try:
            self._process.start()
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()


class OrthancServer:
    """Orthanc with SQLite and files in `folder`, the DICOMweb plug-in loaded, everything else off.

    more : settings of Orthanc's beside these, or in their place.
    """

    def __init__(
        self, folder: Path, program: str = "Orthanc", more: Mapping[str, object] | None = None, name: str = "Orthanc"
    ) -> None:
        self.name = name
        self._folder = folder
        self._more = more or {}
        self._program = shutil.which(program) or shutil.which(program, path="/usr/sbin")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def pid(self) -> int:
        """Of its process. Raises PeerError when it does not run."""
        if self._process is None:
            raise PeerError(f"{self.name} does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        if self._program is None or not PLUGIN.exists():
            raise SettingsError(
                "Orthanc or its DICOMweb plug-in is not installed: apt install orthanc orthanc-dicomweb"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "orthanc.json"
        config.write_text(json.dumps(self._settings()), encoding="utf-8")
        with (self._folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program found on the PATH, and our own file
                [self._program, str(config)], stdout=log, stderr=log, env={**os.environ, "TCP_NODELAY": "1"}
            )
        self._await_answer()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)

    def _settings(self) -> dict[str, object]:
        return {
            "StorageDirectory": str(self._folder / "storage"),
            "IndexDirectory": str(self._folder / "index"),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "KeepAlive": True,
            "TcpNoDelay": True,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": f"{ROOT}/", "EnableWado": True, "StudiesMetadata": "Full",
                         "SeriesMetadata": "Full"},
            **self._more,
        }  # fmt: skip

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                with connection(self.port) as asked:
                    get(asked, f"{ROOT}/studies")
                    return
            except (OSError, PeerError):
                time.sleep(0.1)
        raise PeerError(f"Orthanc does not answer; {self._folder / 'orthanc.log'} says why")


@contextmanager
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept open; http.client switches Nagle's algorithm off."""
    opened = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        yield opened
    finally:
        opened.close()


def get(asked: http.client.HTTPConnection, path: str, accept: str = "application/dicom+json") -> bytes:
    """The body of an answer. Raises PeerError for any status but 200 and 206."""
    return _exchange(asked, "GET", path, None, {"Accept": accept})


def post(asked: http.client.HTTPConnection, path: str, *contents: bytes) -> bytes:
    """Store Part 10 files by one request. Raises PeerError when they are not taken."""
    return post_body(asked, path, multipart(contents))


def multipart(contents: Iterable[bytes]) -> bytes:
    """The body of a request that stores Part 10 files."""
    opening = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(b"%b%b\r\n" % (opening, content) for content in contents) + f"--{BOUNDARY}--".encode()


def post_body(asked: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
    """Store what `multipart` made. Raises PeerError when it is not taken."""
    content_type = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
    return _exchange(asked, "POST", path, body, {"Content-Type": content_type, "Accept": "application/dicom+json"})


def _exchange(
    asked: http.client.HTTPConnection, method: str, path: str, content: bytes | None, headers: dict[str, str]
) -> bytes:
    """A request and its answer's body; over a new connection where the server has closed the idle one meanwhile."""
    try:
        asked.request(method, path, content, headers)
        answer = asked.getresponse()
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        asked.close()
        asked.request(method, path, content, headers)
        answer = asked.getresponse()
    body = answer.read()
    if answer.status not in (200, 202, 206):
        raise PeerError(f"{path} is answered with {answer.status}: {body[:200].decode('latin-1')}")
    return body


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
