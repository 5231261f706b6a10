"""The web application: one table of routes, one stack of middleware, one archive behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from mripacs.core.settings import Settings
from mripacs.dicomweb import health, metrics, services

if TYPE_CHECKING:
    from mripacs.archive import Archive

RouteList = Callable[[Settings], Sequence[BaseRoute]]

# Who adds to the door: a function of the settings that gives its routes. The first route that fits a path answers.
ROUTE_LISTS: tuple[RouteList, ...] = (services.routes, health.routes, metrics.routes)


def build(archive: Archive, settings: Settings, node_status: str | None = None) -> Starlette:
    """The application over an open archive. Handlers find both in `request.app.state`.

    node_status : where the node's process tells its status (mripacs.core.status); None: there is no such process.
    """
    routes = [route for routes_of in ROUTE_LISTS for route in routes_of(settings)]
    app = Starlette(routes=routes)
    app.state.archive = archive
    app.state.settings = settings
    app.state.node_status = node_status
    return app
