"""The running node: what starts, in which order, and how it ends."""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from mripacs.archive import Archive
from mripacs.core import metrics
from mripacs.core.settings import Settings
from mripacs.core.status import StatusServer
from mripacs.dicomweb.process import WebProcess
from mripacs.dimse import DicomServer
from mripacs.ingest.workers import Workers
from mripacs.retrieve.recent import Recent

log = logging.getLogger(__name__)

# New objects until garbage is looked for. With Python's 700 that took 0.55 ms of processor time of each instance that
# came in, one tenth; now 0.02, in one pause of 33 ms for 750 instances. Nothing large waits for it: 10 refused data
# sets of 8 MB leave 0.4 MB.
YOUNG = 50_000


class Node:
    """Archive first, then the doors; doors close first. Use as a context manager, or `run_until_signal`."""

    def __init__(self, settings: Settings, workers: Workers | None = None) -> None:
        """Open the archive. workers : codec processes that were started already; the node ends them."""
        recent = Recent.create(settings.archive.recent_bytes)
        self._ready = False
        self._status = StatusServer(self._facts)
        try:
            self._archive = Archive.open(
                settings=settings,
                workers=workers or settings.archive.workers,
                recent=recent,
                owner=self._status.address,
            )
        except BaseException:
            self._status.close()
            raise
        self._server = DicomServer(self._archive)
        self._web = WebProcess(settings, self._status.address, recent) if settings.web.enabled else None
        self._ended = threading.Event()
        self._scrub = threading.Thread(target=self._archive.scrub, args=(self._ended,), name="scrub")
        self._previews = threading.Thread(target=self._archive.make_previews, args=(self._ended,), name="previews")

    @property
    def archive(self) -> Archive:
        """The archive behind the doors."""
        return self._archive

    @property
    def dicom_port(self) -> int:
        """The TCP port of the DICOM door."""
        return self._server.port

    @property
    def web_port(self) -> int | None:
        """The TCP port of the web door; None where it is switched off."""
        return self._web.port if self._web else None

    def __enter__(self) -> Self:
        try:
            self._status.start()
            self._archive.compress_behind()
            if not self._archive.acknowledges_received:
                self._archive.wait_until_ready()  # else a sender's time-out runs while the codec is compiled
            self._server.start()
            self._archive.wait_until_ready()
            if self._web is not None:  # after the codec was compiled, so that its processes find it so
                self._web.launch()
                self._web.wait_until_ready()
            self._scrub.start()
            self._previews.start()
            self._ready = True
        except BaseException:
            self._stop_web()
            self._server.stop()
            self._status.close()
            self._archive.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ready = False
        self._stop_web()
        self._status.close()
        self._server.stop()
        self._ended.set()
        self._scrub.join()
        self._previews.join()
        self._archive.close()
        log.info("stopped")

    def _facts(self) -> Mapping[str, Any]:
        """What the web process is told of this one: `ready` once codec processes and the DICOM door are."""
        return {"ready": self._ready, "dicom_port": self.dicom_port, "metrics": metrics.families()}

    def _stop_web(self) -> None:
        if self._web is not None:
            self._web.stop()


def run_until_signal(
    settings: Settings,
    port_file: Path | None = None,
    web_port_file: Path | None = None,
    workers: Workers | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then end in order.

    port_file, web_port_file : are written with the ports once they are listened on, for whoever started the node with
    port 0. workers : codec processes that were started already; the node ends them.
    """
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Node(settings, workers) as node:
        if web_port_file is not None and node.web_port is not None:
            web_port_file.write_text(f"{node.web_port}\n", encoding="ascii")
        if port_file is not None:
            port_file.write_text(f"{node.dicom_port}\n", encoding="ascii")
        # What is loaded by now stays. Looking through it took a full collection of garbage 0.2 s, in which nobody is
        # answered, after every 600 associations.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG)
        ended.wait()
