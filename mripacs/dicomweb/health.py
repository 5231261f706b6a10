"""`/healthz`: this process answers. `/readyz`: the node can take and give objects; each part that cannot is named."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mripacs.core import status
from mripacs.core.errors import StoreError
from mripacs.core.settings import Settings
from mripacs.dicomweb.threads import in_thread

NO_STORE = {"Cache-Control": "no-store"}


def routes(_: Settings) -> Sequence[BaseRoute]:
    """Both routes; they need no token, and tell nothing but what works."""
    return [Route("/healthz", alive), Route("/readyz", ready)]


async def alive(_: Request) -> Response:
    """200 as long as the process answers at all."""
    return PlainTextResponse("ok\n", headers=NO_STORE)


async def ready(request: Request) -> Response:
    """200 when every part works, else 503; either way a JSON object with one entry for each part."""
    parts = await in_thread(readiness, request)
    words = {name: why or "ok" for name, why in parts.items()}
    return JSONResponse(words, 503 if any(parts.values()) else 200, NO_STORE)


def readiness(request: Request) -> dict[str, str]:
    """What is wrong with each part; "" where nothing is."""
    state = request.app.state
    parts = _database(request)
    if state.node_status is not None:
        told = status.ask(state.node_status)
        parts["node"] = "" if told and told["ready"] else "starting or ending" if told else "does not answer"
    return parts


def _database(request: Request) -> dict[str, str]:
    state = request.app.state
    try:
        health = state.archive.database_health()
    except StoreError as error:
        return {"database": type(error).__name__, "disk": ""}
    wanted = state.settings.limits.min_free_bytes
    short = health.free_bytes is not None and health.free_bytes < wanted
    return {"database": "", "disk": f"less than {wanted} bytes are free" if short else ""}
