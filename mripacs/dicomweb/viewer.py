"""OHIF on this origin: its files, a configuration that leads it here, and its own paths to its start page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mripacs.core.settings import Settings
from mripacs.dicomweb import viewer_build
from mripacs.dicomweb.access import require
from mripacs.dicomweb.page.html import ROOT
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.services import ROOT as SERVICES

# Isolation is what SharedArrayBuffer asks for; the policy keeps the viewer from asking anybody but this node.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:; "
        "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
HASHED = re.compile(r"[.-]?[0-9a-f]{16}\.|^[0-9a-f]{16}\.")  # names that change with their content
MEDIA_TYPES = {".wasm": "application/wasm", ".js": "text/javascript", ".mjs": "text/javascript"}


def routes(settings: Settings) -> Sequence[BaseRoute]:
    """Everything that no other route took. None where no viewer is served; this list must be the last one."""
    if not settings.web.viewer:
        return []
    build = viewer_build.folder()

    async def file(request: Request) -> Response:
        return serve(request, build)

    return [Route("/app-config.js", configuration), Route("/{path:path}", file, methods=["GET", "HEAD"])]


async def configuration(request: Request) -> Response:
    """The viewer's configuration: this node as its only source."""
    title = request.app.state.settings.dimse.ae_title
    script = f"window.config = {json.dumps(config(title))};\n"
    return Response(script, media_type="text/javascript", headers={**HEADERS, "Cache-Control": "no-store"})


def config(title: str) -> dict[str, Any]:
    """OHIF's configuration; paths are of this origin."""
    return {
        "routerBasename": None,
        "extensions": [],
        "modes": [],
        "customizationService": [{"ohif.tours": {"$set": []}}],  # the image, not a tour in front of it
        "showStudyList": True,
        "maxNumberOfWebWorkers": 3,
        "showWarningMessageForCrossOrigin": True,
        "showCPUFallbackMessage": True,
        "showLoadingIndicator": True,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "dicomweb",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "dicomweb",
                "configuration": {
                    "friendlyName": title,
                    "name": "mripacs",
                    "wadoUriRoot": SERVICES,
                    "qidoRoot": SERVICES,
                    "wadoRoot": SERVICES,
                    "qidoSupportsIncludeField": True,
                    "imageRendering": "wadors",
                    "thumbnailRendering": "wadors",
                    "enableStudyLazyLoad": True,
                    "supportsFuzzyMatching": False,
                    "supportsWildcard": True,
                    "omitQuotationForMultipartRequest": True,
                    "bulkDataURI": {"enabled": True},
                },
            }
        ],
    }


def serve(request: Request, build: Path) -> Response:
    """A file of the build, or its start page for one of the viewer's own paths."""
    path = str(request.path_params["path"])
    if f"/{path}/".startswith((f"{SERVICES}/", f"{ROOT}/")):
        raise HTTPException(404)
    file = _file(build, path)
    if file is not None:
        caching = "public, max-age=31536000, immutable" if HASHED.search(file.name) else "no-cache"
        return FileResponse(
            file, media_type=MEDIA_TYPES.get(file.suffix), headers={**HEADERS, "Cache-Control": caching}
        )
    if PurePosixPath(path).suffix:  # a file that is not there; the viewer's own paths have no suffix
        raise HTTPException(404)
    return _start_page(request, build)


def _file(build: Path, path: str) -> Path | None:
    """A file below the build's folder; None for what is none or lies elsewhere."""
    candidate = (build / path).resolve()
    inside = candidate.is_relative_to(build.resolve())
    return candidate if inside and path not in {"", "index.html"} and candidate.is_file() else None


def _start_page(request: Request, build: Path) -> Response:
    try:
        require(request, "read")
    except RequestError as error:
        if error.status != HTTPStatus.UNAUTHORIZED:
            raise
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{ROOT}/login?next={quote(wanted)}", HTTPStatus.SEE_OTHER)
    return FileResponse(build / "index.html", headers={**HEADERS, "Cache-Control": "no-cache"})
