"""The servers that are compared, each a process of its own with its data in a folder of its own.

Nagle's algorithm is off at every end (TCP_NODELAY): Debian's DCMTK and Orthanc leave it on, which costs them 40 ms a
message. Every server keeps its defaults otherwise; what differs is in the tables below.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from mripacs.cli.node_bench.choices import OwnTier, Peer
from mripacs.cli.node_bench.scu import Entity, echo
from mripacs.cli.node_bench.sink import MoveSink
from mripacs.cli.web_peers import OrthancServer, connection, free_port, get
from mripacs.core.errors import PeerError, SettingsError
from mripacs.core.settings import ENV_PREFIX

Answer = TypeVar("Answer")

START_S = 180.0  # the first start on a machine compiles the codec
STOP_S = 60.0
POLL_S = 0.05
TITLE = "BENCHED"
COLD = "[archive]\nrecent_bytes = 0\n"
# A rule for everything: under the shipped ones a set's phase images and maps would be without loss in both.
TIER_POLICY: Mapping[OwnTier, str] = {
    OwnTier.KWAVELET: '[[policy.rules]]\nname = "kwavelet"\nkeep = "kwavelet"\nrel_error = 0.05\neffort = "fast"\n',
    OwnTier.LOSSLESS: '[[policy.rules]]\nname = "lossless"\nkeep = "lossless"\n',
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    entity: Entity
    web_port: int | None  # None: it has no DICOMweb
    pid: int
    folder: Path
    stores_only: bool = False  # neither queries nor retrieval
    waiting: Callable[[], int] = lambda: 0  # objects acknowledged and not yet compressed

    @property
    def name(self) -> str:
        """As the report calls it."""
        return self.entity.name


@contextmanager
def our_node(folder: Path, sink: MoveSink, tier: OwnTier, *, cold: bool = False) -> Iterator[Running]:
    """`mripacs serve` with its defaults, DICOM and DICOMweb, and one rule: everything in the tier.

    cold : it keeps no instance at hand in memory.
    """
    name = f"mripacs {tier}"
    folder.mkdir(parents=True)
    destination = f'[dimse.destinations.{sink.title}]\nhost = "127.0.0.1"\nport = {sink.port}\n'
    (folder / "node.toml").write_text((COLD if cold else "") + destination + TIER_POLICY[tier], encoding="utf-8")
    ports = {"--port-file": folder / "port", "--web-port-file": folder / "web-port"}
    command = [sys.executable, "-m", "mripacs.cli.app", "--config", str(folder / "node.toml"), "--log-level", "ERROR",
               "--directory", str(folder / "data"), "serve", "--ae-title", TITLE, "--port", "0", "--web-port", "0",
               *(str(word) for pair in ports.items() for word in pair)]  # fmt: skip
    with _process(command, folder, name) as process:
        port, web_port = (_read_port(path, process, name) for path in ports.values())
        yield Running(
            Entity(name, port, TITLE), web_port, process.pid, folder / "data", waiting=partial(_waiting, web_port)
        )


@contextmanager
def orthanc(folder: Path, sink: MoveSink, *, compress: bool, cold: bool = False) -> Iterator[Running]:
    """Orthanc with its DICOMweb plug-in, StorageCompression on or off; `cold` without its cache of the storage."""
    entity = Entity("Orthanc compressing" if compress else "Orthanc", free_port(), TITLE)
    more = {
        "DicomServerEnabled": True,
        "DicomAet": TITLE,
        "DicomPort": entity.port,
        "DicomCheckModalityHost": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"sink": [sink.title, "127.0.0.1", sink.port], "bench": ["BENCH", "127.0.0.1", 104]},
        "StorageCompression": compress,
        **({"MaximumStorageCacheSize": 0} if cold else {}),
    }
    with OrthancServer(folder, more=more, name=entity.name) as server:
        yield Running(entity, server.port, server.pid, folder)


@contextmanager
def dcmtk(folder: Path, _sink: MoveSink, *, cold: bool = False) -> Iterator[Running]:
    """DCMTK's storescp, a process an association: it writes files and does nothing else, `cold` or not.

    Its archive, dcmqrscp, is no peer: 3.6.7 refuses associations that store into one study at once.
    """
    program = shutil.which("storescp")
    if program is None:
        raise SettingsError("storescp is not installed: apt install dcmtk")
    data, entity = folder / "data", Entity("storescp", free_port(), TITLE)
    data.mkdir(parents=True)
    command = [program, "--fork", "+xa", "--max-pdu", "131072", "-od", str(data), "-aet", TITLE, str(entity.port)]
    with _process(command, folder, entity.name) as process:
        _wait(lambda: echo(entity), process, entity.name)
        yield Running(entity, None, process.pid, data, stores_only=True)


PEERS: Mapping[Peer, Callable[..., AbstractContextManager[Running]]] = {
    Peer.ORTHANC: partial(orthanc, compress=False),
    Peer.ORTHANC_COMPRESSED: partial(orthanc, compress=True),
    Peer.DCMTK: dcmtk,
}


@contextmanager
def _process(command: list[str], folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ENV_PREFIX)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - found on the PATH, or ourselves
            command, stdout=log, stderr=log, env=environment | {"TCP_NODELAY": "1"}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise PeerError(f"{name} did not end") from None


def _waiting(web_port: int) -> int:
    """What our node tells of its backlog."""
    with connection(web_port) as web:
        found = re.search(rb'^mripacs_waiting_objects{process="node"} (\d+)', get(web, "/metrics", "*/*"), re.MULTILINE)
    if found is None:
        raise PeerError("the node does not tell how many objects wait")
    return int(found[1])


def _read_port(path: Path, process: subprocess.Popen[bytes], name: str) -> int:
    """The port that the node writes into a file once it listens."""

    def read() -> int:
        text = path.read_text(encoding="ascii") if path.exists() else ""
        if not text.endswith("\n"):
            raise PeerError(f"{name} does not listen yet")
        return int(text)

    return _wait(read, process, name)


def _wait(ask: Callable[[], Answer], process: subprocess.Popen[bytes], name: str) -> Answer:
    """What `ask` answers as soon as it raises nothing. Raises PeerError when the process ends or time is up."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return ask()
        except (PeerError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise PeerError(f"{name} does not start: {error}") from error
            time.sleep(POLL_S)
