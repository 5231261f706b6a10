"""Signing in with a bearer token, once for each browser, and out again."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mripacs.dicomweb.access import Caller, Guard
from mripacs.dicomweb.page.html import POLICY, ROOT, render
from mripacs.dicomweb.page.session import COOKIE, session_of, set_cookie

OWN_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")  # neither //host nor a backslash, which browsers read as a slash
MAX_FORM_BYTES = 16384  # a JWT has some thousand


async def form(request: Request) -> Response:
    """The form that asks for a token."""
    return render(request, "login.html", next=_target(request.query_params.get("next", "")), refused=False)


async def sign_in(request: Request) -> Response:
    """A session for a token that is known here; else the form again."""
    fields = await _fields(request)
    token, target = fields.get("token", ""), _target(fields.get("next", ""))
    caller = await who(request, token) if token else None
    if caller is None or caller.access == "none":
        return render(request, "login.html", HTTPStatus.UNAUTHORIZED, next=target, refused=True)
    answer = RedirectResponse(target, HTTPStatus.SEE_OTHER, POLICY)
    set_cookie(answer, request, request.app.state.sessions.open(token))
    return answer


async def sign_out(request: Request) -> Response:
    """End the session."""
    secret = session_of(request)
    if secret:
        request.app.state.sessions.close(secret)
    answer = RedirectResponse(f"{ROOT}/login", HTTPStatus.SEE_OTHER, POLICY)
    answer.delete_cookie(COOKIE)
    return answer


async def who(request: Request, token: str) -> Caller | None:
    """The owner of a token, as the guard of every request finds them; None for a token that it refuses."""
    found: list[Caller] = []

    async def admitted(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.append(scope["mripacs.caller"])

    async def unheard(_: object) -> None:
        """The refusal itself is not for the browser: the form comes again."""

    headers = [(name, value) for name, value in request.scope["headers"] if name != b"authorization"]
    try:
        headers.append((b"authorization", b"Bearer " + token.strip().encode("latin-1")))
    except UnicodeEncodeError:
        return None
    scope = {**request.scope, "headers": headers}
    await Guard(admitted, request.app.state.settings.web)(scope, request.receive, unheard)
    return found[0] if found and found[0].name else None


async def _fields(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _target(wanted: str) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    return wanted if OWN_PATH.fullmatch(wanted) else f"{ROOT}/studies"


ROUTES = [
    Route("/login", form, methods=["GET"]),
    Route("/login", sign_in, methods=["POST"]),
    Route("/logout", sign_out, methods=["POST"]),
]
