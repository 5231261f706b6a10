"""The URIs of resources, absolute: clients take them out of answers and ask for them."""

from __future__ import annotations

from starlette.datastructures import URL
from starlette.requests import Request

from mripacs.core.model import InstanceIdentity
from mripacs.core.web import is_loopback

ROOT = "/dicom-web"


def base_of(request: Request) -> str:
    """Where the services are, as the client sees them."""
    public: str | None = request.app.state.settings.web.public_url
    if public:
        return public.rstrip("/") + ROOT
    url = request.url
    return f"{url.scheme}://{_authority(url, request)}{ROOT}"


def _authority(url: URL, request: Request) -> str:
    """The Host header. On loopback our port is added where it has none: dicomweb-client (Python) leaves it out."""
    _, port = request.scope.get("server") or ("", None)
    if url.port is None and port not in (None, 80, 443) and is_loopback(url.hostname or ""):
        return f"{url.netloc}:{port}"
    return url.netloc


def study_url(base: str, study_uid: str) -> str:
    """Of a study."""
    return f"{base}/studies/{study_uid}"


def series_url(base: str, study_uid: str, series_uid: str) -> str:
    """Of a series."""
    return f"{base}/studies/{study_uid}/series/{series_uid}"


def instance_url(base: str, identity: InstanceIdentity) -> str:
    """Of an instance, by the UID that it is served under."""
    series = series_url(base, identity.study_instance_uid, identity.series_instance_uid)
    return f"{series}/instances/{identity.sop_instance_uid}"


def bulk_url(base: str, identity: InstanceIdentity, path: str) -> str:
    """Of an element's value; `path` as `dicom.json_model` makes it."""
    return f"{instance_url(base, identity)}/bulkdata/{path}"
