"""Sessions of browsers: who gave a token once is known by a cookie until the browser or the process ends.

A browser sends a cookie by itself, so it counts for less than a token: it opens what is read anywhere on this origin,
and what changes something only below `/node`, from our own pages. Pages of other sites cannot send it at all
(SameSite=Strict).
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mripacs.dicomweb.problems import problem_response

COOKIE = "mripacs_session"
LASTS_S = 8 * 3600  # a working day
MAX_SESSIONS = 1000
SAFE_METHODS = frozenset({"GET", "HEAD"})
PAGES = "/node/"


class Sessions:
    """Tokens by the secret of their session. For the event loop's thread only."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def open(self, token: str) -> str:
        """A new session; the oldest goes where there are too many."""
        secret = secrets.token_urlsafe(32)
        self._tokens[secret] = token, time.monotonic() + LASTS_S
        while len(self._tokens) > MAX_SESSIONS:
            self._tokens.popitem(last=False)
        return secret

    def token(self, secret: str) -> str | None:
        """The token of a session that has not ended."""
        token, ends = self._tokens.get(secret, (None, 0.0))
        if token is not None and ends < time.monotonic():
            self.close(secret)
            return None
        return token

    def close(self, secret: str) -> None:
        """End a session."""
        self._tokens.pop(secret, None)


class SessionCookies:
    """Middleware that gives a request the bearer token of its session, and turns away forged ones.

    It stands before whatever looks at tokens. A request that brings a token of its own keeps it.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        changes = scope["method"] not in SAFE_METHODS
        if changes and scope["path"].startswith(PAGES) and not is_own(headers):
            answer = problem_response(403, "this form was not sent from a page of this node")
            await answer(scope, receive, send)
            return
        token = self._token(scope, headers)
        if token is None or (changes and not scope["path"].startswith(PAGES)):
            await self._app(scope, receive, send)
            return

        async def ending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.UNAUTHORIZED:
                self._sessions.close(scope["mripacs.session"])  # its token was withdrawn or is too old
            await send(message)

        bearer = (b"authorization", b"Bearer " + token.encode("latin-1"))
        await self._app({**scope, "headers": [*scope["headers"], bearer]}, receive, ending)

    def _token(self, scope: Scope, headers: Headers) -> str | None:
        secret = _cookie(headers)
        token = self._sessions.token(secret) if secret and "authorization" not in headers else None
        scope["mripacs.session"] = secret if token else None
        return token


def is_own(headers: Headers) -> bool:
    """Whether a form comes from our own origin, by what browsers say of it; without any word it does not."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(headers.get("origin", "")).netloc == headers.get("host", "") != ""


def session_of(request: Request) -> str | None:
    """The secret of the request's session; None without one."""
    secret: str | None = request.scope.get("mripacs.session")
    return secret


def set_cookie(response: Response, request: Request, secret: str) -> None:
    """Hand a session to the browser, out of reach of scripts and of other sites."""
    response.set_cookie(
        COOKIE, secret, max_age=LASTS_S, secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )


def _cookie(headers: Headers) -> str | None:
    cookies = headers.get("cookie")
    if cookies is None:
        return None
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None
