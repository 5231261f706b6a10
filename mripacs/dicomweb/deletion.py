"""DELETE on studies, series and instances: only where `web.allow_delete` switches it on."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mripacs.core.settings import Settings
from mripacs.dicomweb.access import require
from mripacs.dicomweb.links import ROOT
from mripacs.dicomweb.retrieve import RESOURCES
from mripacs.dicomweb.targets import archive_of, uid_of
from mripacs.dicomweb.threads import in_thread


def routes(settings: Settings) -> list[BaseRoute]:
    """A route for each resource; none where deleting is switched off: then DELETE is answered with 405."""
    if not settings.web.allow_delete:
        return []
    return [Route(ROOT + path, delete, methods=["DELETE"]) for path in RESOURCES]


async def delete(request: Request) -> Response:
    """Take what the path names out of the archive, with an audit event; 204, or 404 when it is not there."""
    caller = require(request, "write")
    study, series, instance = (uid_of(request, name) for name in ("study", "series", "instance"))
    await in_thread(archive_of(request).delete, study=study, series=series, instance=instance, source=caller.source)
    return Response(status_code=204)
