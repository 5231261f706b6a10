"""The HTTP server of the web process: uvicorn on a socket that is listened on already."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from socket import socket
from types import FrameType

import uvicorn

from mripacs.core.settings import Settings
from mripacs.core.tls_contexts import server_context
from mripacs.dicom import walking
from mripacs.dicomweb.http_protocol import BoundedHttp
from mripacs.retrieve.recent import Recent

log = logging.getLogger(__name__)

GRACE_S = 5  # for requests under way when the process ends
IDLE_S = 30  # a connection without a request is closed after that


def check(settings: Settings) -> None:
    """Raise SettingsError for files of TLS that cannot be used."""
    server_context(settings.web.tls)


def serve(
    settings: Settings,
    listening: socket,
    port: int,
    ready: Callable[[], None],
    node_status: str | None = None,
    recent: Recent | None = None,
) -> None:
    """Open an archive of one's own on the settings' database and serve it until SIGTERM."""
    from mripacs.archive import Archive  # noqa: PLC0415 - heavy, and only this function needs it
    from mripacs.dicomweb.app import build  # noqa: PLC0415 - as above

    walking.load()
    owner = node_status or ""  # as the node's: it compresses what STOW-RS takes
    with Archive.open(settings=settings, workers=settings.web.workers, recent=recent, owner=owner) as archive:
        server = _Server(_config(settings, build(archive, settings, node_status), port), ready)
        with asyncio.Runner(loop_factory=_event_loop()) as runner:
            runner.run(server.serve(sockets=[listening]))


class _Server(uvicorn.Server):
    """Says when it serves. SIGTERM ends it in order, a second one at once."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn does, but Ctrl-C is the node's, and no signal is raised again at the end: it is in order."""
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)
        self._captured_signals.clear()


def _config(settings: Settings, app: object, port: int) -> uvicorn.Config:
    tls = settings.web.tls
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        port=port,
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=settings.web.max_requests + 1,  # uvicorn refuses the last one
        ssl_certfile=tls.certificate,
        ssl_keyfile=tls.key,
    )
    config.load()
    config.ssl = server_context(tls)  # in place of uvicorn's own: one rule for both doors
    return config


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
