"""How long a node takes to start on an archive: its index alone, and the whole until it answers C-ECHO."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from mripacs.archive import Archive
from mripacs.cli.node_bench.scu import Entity, echo
from mripacs.cli.web_peers import free_port
from mripacs.core.errors import PeerError
from mripacs.core.settings import load_settings
from mripacs.ingest.workers import load_codec

START_S = 180.0
POLL_S = 0.01


def compile_codec() -> None:
    """Once on a machine, and nothing that a start is to be measured with: a minute and more where others work, too.

    In a process of its own: who loads the codec gives way from then on, and so would all that it starts. Raises
    PeerError.
    """
    code = f"from {load_codec.__module__} import load_codec; load_codec()"
    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - ourselves
    if done.returncode:
        raise PeerError(f"the codec does not load: a process of its own ended with {done.returncode}")


def open_archive(url: str) -> float:
    """Seconds until `Archive.open` has returned, in this process, where all is imported."""
    settings = load_settings(flags={"archive": {"database_url": url}}, environment={})
    began = time.perf_counter()
    archive = Archive.open(settings=settings)
    taken = time.perf_counter() - began
    archive.close()
    return taken


def serve(url: str, folder: Path) -> tuple[float, float]:
    """Seconds from the start of a `mripacs serve` until it answers a C-ECHO, and of processor time of it and its
    processes until they have ended, which says more where others work, too. Raises PeerError.
    """
    before = _of_children()
    elapsed = _serve(url, folder)
    return elapsed, _of_children() - before


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _serve(url: str, folder: Path) -> float:
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "mripacs.cli.app", "--log-level", "ERROR", "--directory", str(folder),
               "--database", url, "serve", "--no-web", "--port", str(port)]  # fmt: skip
    began = time.perf_counter()
    with subprocess.Popen(command) as process:  # noqa: S603 - ourselves
        try:
            _await_echo(Entity("mripacs", port, "MRIPACS"), process, began + START_S)
            return time.perf_counter() - began
        finally:
            process.terminate()


def _await_echo(entity: Entity, process: subprocess.Popen[bytes], deadline: float) -> None:
    """Return with the first C-ECHO that is answered: the door opens before the codec is loaded. Raises PeerError."""
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            echo(entity)
        except (OSError, PeerError):
            time.sleep(POLL_S)
        else:
            return
    raise PeerError("the node does not start")
