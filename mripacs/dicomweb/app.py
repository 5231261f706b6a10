"""The web application: one table of routes, one stack of middleware, one archive behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from mripacs.audit.syslog import syslog_of
from mripacs.audit.trail import AuditTrail
from mripacs.core.errors import MripacsError
from mripacs.core.settings import Settings
from mripacs.core.web import WebSettings
from mripacs.dicomweb import health, metrics, problems, services, viewer
from mripacs.dicomweb.access import Guard
from mripacs.dicomweb.audit import DOOR
from mripacs.dicomweb.metadata_cache import JsonCache
from mripacs.dicomweb.page.routes import routes as page_routes
from mripacs.dicomweb.page.session import SessionCookies, Sessions

if TYPE_CHECKING:
    from mripacs.archive import Archive

RouteList = Callable[[Settings], Sequence[BaseRoute]]

# Who adds to the door: a function of the settings that gives its routes. The first route that fits a path answers.
ROUTE_LISTS: tuple[RouteList, ...] = (services.routes, health.routes, metrics.routes, page_routes, viewer.routes)
EXPOSED = ("Content-Location", "Content-Range", "ETag", "Warning", "WWW-Authenticate", "Retry-After")
THREADS = 16  # of blocking work; more would only queue for the processor and the database


def build(archive: Archive, settings: Settings, node_status: str | None = None) -> Starlette:
    """The application over an open archive. Handlers find both in `request.app.state`.

    Every request comes with its caller (`access.caller_of`); what it may do is each handler's to ask
    (`access.require`). node_status : where the node's process tells its status (mripacs.core.status); None: there is
    no such process.
    """
    sessions = Sessions()
    app = Starlette(
        routes=[route for routes_of in ROUTE_LISTS for route in routes_of(settings)],
        middleware=_middleware(settings.web, sessions),
        exception_handlers={
            MripacsError: problems.on_error,
            HTTPException: problems.on_http_error,
            Exception: problems.on_defect,
        },
        lifespan=_lifespan,
    )
    app.state.archive = archive
    app.state.settings = settings
    app.state.node_status = node_status
    app.state.metadata = JsonCache()
    app.state.sessions = sessions
    app.state.comparisons = {}
    app.state.trail = AuditTrail(archive, syslog_of(settings.log, settings.web.tls), DOOR)
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
    app.state.trail.close()


def _middleware(settings: WebSettings, sessions: Sessions) -> list[Middleware]:
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
        allow_headers=["Accept", "Authorization", "Content-Type", "If-None-Match", "Range"],
        expose_headers=EXPOSED,
        max_age=3600,
    )
    who = [Middleware(SessionCookies, sessions=sessions), Middleware(Guard, settings=settings)]
    return [*([cors] if settings.cors_origins else []), *who]
