"""Templates to answers: what every page gets, the headers that keep it to itself, and errors as pages."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mripacs import __version__
from mripacs.core.errors import MripacsError
from mripacs.dicomweb.access import caller_of, require
from mripacs.dicomweb.page import words
from mripacs.dicomweb.page.session import session_of
from mripacs.dicomweb.problems import RequestError

ROOT = "/node"
POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # names of patients: no page stays in a browser's cache
}

ENVIRONMENT = Environment(
    loader=PackageLoader("mripacs.dicomweb.page"),
    autoescape=True,  # patient names are what a stranger typed
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(
    counted=words.counted,
    size=words.size,
    person=words.person,
    date=words.date,
    time=words.time,
    ratio=words.ratio,
    percent=words.percent,
)

Handler = Callable[[Request], Awaitable[Response]]


def render(request: Request, template: str, code: int = 200, **values: Any) -> HTMLResponse:
    """A page. Values that a template does not find are an error, never an empty place."""
    settings = request.app.state.settings
    common = {
        "root": ROOT,
        "path": request.url.path,
        "version": __version__,
        "ae_title": settings.dimse.ae_title,
        "viewer": settings.web.viewer,
        "caller": caller_of(request).name,
        "signed_in": session_of(request) is not None,
    }
    body = ENVIRONMENT.get_template(template).render(**common, **values)
    return HTMLResponse(body, code, POLICY)


def page(handler: Handler) -> Handler:
    """A handler whose caller may read; errors of ours become pages, a missing token the way to sign in."""

    @functools.wraps(handler)
    async def guarded(request: Request) -> Response:
        try:
            require(request, "read")
            return await handler(request)
        except RequestError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                return RedirectResponse(f"{ROOT}/login?next={quote(_own_path(request))}", HTTPStatus.SEE_OTHER)
            return failure(request, error.status, str(error))
        except MripacsError as error:
            return failure(request, error.http_status, str(error))

    return guarded


def failure(request: Request, status: int, detail: str) -> HTMLResponse:
    """What went wrong, and what to do, as a page."""
    return render(request, "error.html", status, status=status, title=HTTPStatus(status).phrase, detail=detail)


def _own_path(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")
