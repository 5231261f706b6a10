"""What the services offer: WADL by OPTIONS (PS3.18 8.9, Annex H) and an OpenAPI description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs import __version__
from mripacs.core.settings import Settings
from mripacs.dicomweb.links import ROOT, base_of
from mripacs.dicomweb.negotiation import accepted, choose
from mripacs.dicomweb.operations import Operation, operations
from mripacs.dicomweb.problems import MEDIA_TYPE as PROBLEM

WADL = "application/vnd.sun.wadl+xml"
WADL_NAMESPACE = "http://wadl.dev.java.net/2009/02"
OPENAPI = "application/vnd.oai.openapi+json"
REFUSALS = (400, 401, 403, 404, 406, 414, 421, 429, 500, 503)
_PART = re.compile(r"\{(\w+)\}")
_UID = {"type": "string", "pattern": "^[0-9.]{1,64}$"}
PATH_PARTS: Mapping[str, Mapping[str, Any]] = {
    "study": _UID,
    "series": _UID,
    "instance": _UID,
    "frames": {"type": "string", "pattern": "^[1-9][0-9]{0,4}(,[1-9][0-9]{0,4}){0,9}$"},
    "path": {"type": "string", "pattern": "^[0-9A-F]{8}$"},
}


def routes() -> list[BaseRoute]:
    """The root by OPTIONS and GET, and the description. They tell nothing of what is stored and need no token."""
    return [
        Route(f"{ROOT}/openapi.json", description, methods=["GET"]),
        *(Route(path, capabilities, methods=["OPTIONS", "GET"]) for path in (ROOT, f"{ROOT}/")),
    ]


async def description(request: Request) -> Response:
    """OpenAPI 3.1."""
    return Response(orjson.dumps(openapi(request.app.state.settings, base_of(request))), media_type="application/json")


async def capabilities(request: Request) -> Response:
    """WADL, or the OpenAPI description for who takes JSON only."""
    settings, base = request.app.state.settings, base_of(request)
    offered = (WADL, "application/xml", "application/json", OPENAPI)
    media_type = choose(accepted(request), offered)
    body = wadl(settings, base) if media_type in offered[:2] else orjson.dumps(openapi(settings, base))
    return Response(body, headers={"Allow": "GET, OPTIONS", "Vary": "Accept"}, media_type=media_type)


def openapi(settings: Settings, base: str) -> dict[str, Any]:
    """The description as OpenAPI 3.1; `base` is where the services are."""
    paths: dict[str, Any] = {}
    for operation in operations(settings):
        paths.setdefault(operation.path.removeprefix(ROOT), {})[operation.method.lower()] = _openapi_of(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mripacs DICOMweb", "version": __version__},
        "servers": [{"url": base}],
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}, {}],
        "paths": paths,
    }


def _openapi_of(operation: Operation) -> dict[str, Any]:
    parts = [
        {"name": name, "in": "path", "required": True, "schema": PATH_PARTS[name]}
        for name in _PART.findall(operation.path)
    ]
    query = [
        {"name": one.name, "in": "query", "required": one.required, "description": one.words, "schema": one.schema}
        for one in operation.query
    ]
    content: dict[str, Any] = {media_type: {} for media_type in operation.media_types}
    refusals = {str(status): _refusal(status, operation) for status in (*REFUSALS, *_more(operation))}
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.words,
        "parameters": [*parts, *query],
        "responses": refusals | {str(status): _success(status, content) for status in operation.statuses},
    }
    if operation.body:
        found["requestBody"] = {
            "required": True, "content": {each: {"schema": {"type": "string"}} for each in operation.body}
        }  # fmt: skip
    return found


def _more(operation: Operation) -> tuple[int, ...]:
    """Refusals of requests with a body or a range."""
    return (409, 413, 415, 507) if operation.body else (416,) if 206 in operation.statuses else ()


def _success(status: int, content: dict[str, Any]) -> dict[str, Any]:
    words = {"description": HTTPStatus(status).phrase}
    return words if status in (204, 304) else {**words, "content": content}


def _refusal(status: int, operation: Operation) -> dict[str, Any]:
    body: dict[str, Any] = {PROBLEM: {"schema": {"type": "object", "required": ["title", "status", "detail"]}}}
    answers: dict[str, Any] = {media_type: {} for media_type in operation.media_types} if operation.body else {}
    return {"description": HTTPStatus(status).phrase, "content": {**body, **answers}}


def wadl(settings: Settings, base: str) -> bytes:
    """The description as a WADL document (Web Application Description Language, W3C submission of 2009)."""
    root = Element("application", xmlns=WADL_NAMESPACE)
    resources = SubElement(root, "resources", base=base)
    found: dict[str, Element] = {}
    for operation in operations(settings):
        path = operation.path.removeprefix(ROOT).lstrip("/")
        if path not in found:
            found[path] = SubElement(resources, "resource", path=path)
            for name in _PART.findall(path):
                SubElement(found[path], "param", name=name, style="template", required="true")
        _wadl_method(found[path], operation)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _wadl_method(resource: Element, operation: Operation) -> None:
    method = SubElement(resource, "method", name=operation.method, id=operation.name)
    asked = SubElement(method, "request")
    for one in operation.query:
        SubElement(asked, "param", name=one.name, style="query", required=str(one.required).lower())
    for media_type in operation.body:
        SubElement(asked, "representation", mediaType=media_type)
    answer = SubElement(method, "response", status=" ".join(map(str, operation.statuses)))
    for media_type in operation.media_types:
        SubElement(answer, "representation", mediaType=media_type)
