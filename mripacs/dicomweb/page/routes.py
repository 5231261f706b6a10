"""Every route of the page."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from mripacs.core.settings import Settings
from mripacs.dicomweb.page import health, instance, login, pictures, storage, studies, thumbnails
from mripacs.dicomweb.page.html import ROOT

STATIC = StaticFiles(packages=[("mripacs.dicomweb.page", "static")])


async def _start(_: object) -> RedirectResponse:
    return RedirectResponse(f"{ROOT}/studies")


def routes(settings: Settings) -> Sequence[BaseRoute]:
    """Everything below `/node`, and the way there from `/` where no viewer is served."""
    start = [] if settings.web.viewer else [Route("/", _start)]
    pages = [
        *studies.ROUTES,
        *instance.ROUTES,
        *pictures.ROUTES,
        *thumbnails.ROUTES,
        *storage.ROUTES,
        *health.ROUTES,
        *login.ROUTES,
    ]
    return [*start, Route(ROOT, _start), Mount(ROOT, routes=[Mount("/static", STATIC), Route("/", _start), *pages])]
