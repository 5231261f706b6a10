"""Errors as JSON problem bodies (RFC 9457) that say what to change; no stack trace and no patient data goes out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mripacs.core.errors import MripacsError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class RequestError(MripacsError):
    """A request that cannot be served as it is: a status, and what to change."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The body of a refusal: type, title, status and detail."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    caching = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body), status, {**caching, **(headers or {})}, MEDIA_TYPE)


async def on_error(request: Request, error: Exception) -> Response:
    """An error of our own tree: its status, its words. Those of 5xx are logged."""
    if isinstance(error, RequestError):
        return problem_response(error.status, str(error), error.headers)
    status = error.http_status if isinstance(error, MripacsError) else 500
    if status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error)
    headers = {"Retry-After": "10"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem_response(status, str(error), headers)


async def on_http_error(_: Request, error: Exception) -> Response:
    """What the framework refuses: unknown paths and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {
        404: "no resource of this service has that path; its description is at /dicom-web/openapi.json",
        405: "this resource does not take that method",
    }
    headers = error.headers if isinstance(error, HTTPException) else None
    return problem_response(status, words.get(status, HTTPStatus(status).phrase), headers)


async def on_defect(request: Request, error: Exception) -> Response:
    """What nobody expected: logged with its places, answered without any."""
    log.error("%s failed", request.method, exc_info=error)
    return problem_response(500, "the node failed on this request; its log says where")
