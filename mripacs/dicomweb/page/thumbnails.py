"""Which small picture stands for what in a list: a preview, which then says so, else the frame rendered here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mripacs.core.errors import UnknownInstanceError
from mripacs.dicomweb.page.html import page
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.targets import archive_of, uid_of
from mripacs.dicomweb.threads import in_thread

if TYPE_CHECKING:
    from mripacs.archive import Archive

REMADE = "private, max-age=60"  # another model makes another picture


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The picture of a study, a series or an instance in a list."""

    path: str  # below the page's root
    preview: bool  # whether it is the work of a preview codec: said beside it


def of_instances(archive: Archive, uids: Sequence[str]) -> dict[str, Thumbnail]:
    """By served SOP Instance UID."""
    shown = archive.with_preview(uids)
    return {uid: _preview(uid) if uid in shown else Thumbnail(_rendered(f"instances/{uid}"), False) for uid in uids}


def of_studies(archive: Archive, studies: Sequence[str]) -> dict[str, Thumbnail]:
    """By Study Instance UID: the middle of the largest series stands for it."""
    return _of_groups(archive, {uid: (uid, None) for uid in studies})


def of_series(archive: Archive, study: str, series: Sequence[str]) -> dict[str, Thumbnail]:
    """By Series Instance UID: its middle instance stands for it."""
    return _of_groups(archive, {uid: (study, uid) for uid in series})


def _of_groups(archive: Archive, groups: Mapping[str, tuple[str, str | None]]) -> dict[str, Thumbnail]:
    middles = {uid: _middle(archive, *where) for uid, where in groups.items()}
    shown = archive.with_preview([middle for middle in middles.values() if middle])
    found = {}
    for uid, (study, series) in groups.items():
        middle = middles[uid]
        whole = f"studies/{study}" + (f"/series/{series}" if series else "")
        found[uid] = _preview(middle) if middle in shown and middle else Thumbnail(_rendered(whole), False)
    return found


def _middle(archive: Archive, study: str, series: str | None) -> str | None:
    try:
        return archive.middle_instance(study, series)
    except UnknownInstanceError:  # nothing of it is given out
        return None


def _preview(uid: str) -> Thumbnail:
    return Thumbnail(f"/instances/{uid}/preview.png", True)


def _rendered(of: str) -> str:
    return f"/{of}/thumbnail.png"


@page
async def preview(request: Request) -> Response:
    """The preview of an instance as PNG; its text says what it is. 404 where none is made."""
    uid = str(uid_of(request, "instance"))
    found = await in_thread(archive_of(request).preview, uid)
    if found is None:
        raise RequestError(404, "no preview of this instance is made")
    headers = {"Cache-Control": REMADE, "X-Content-Type-Options": "nosniff"}
    return Response(found.png, media_type="image/png", headers=headers)


ROUTES = [Route("/instances/{instance}/preview.png", preview)]
