"""Routes of the DICOMweb services (PS3.18 Table 9.1-1), all below `/dicom-web`."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from mripacs.core.settings import Settings

ROOT = "/dicom-web"


def routes(settings: Settings) -> Sequence[BaseRoute]:
    """The services' routes."""
    del settings
    return []
