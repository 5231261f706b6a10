"""What the path of a request names: UIDs, checked, and the instances behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.requests import Request

from mripacs import __version__
from mripacs.archive import Archive
from mripacs.core.errors import DamagedInstanceError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity, InstanceSelection
from mripacs.dicomweb.bodies import entity_tag
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.threads import in_thread
from mripacs.retrieve.recent import outgoing_key

UID = re.compile(r"[0-9.]{1,64}")
FOREVER = "private, max-age=31536000, immutable"  # an instance's bytes never change
ASK_AGAIN = "private, no-cache"  # a study may grow: caches ask with If-None-Match


def archive_of(request: Request) -> Archive:
    """The archive behind the door."""
    archive: Archive = request.app.state.archive
    return archive


def uid_of(request: Request, name: str) -> str | None:
    """A UID in the path; None where the path has no such part. Raises RequestError 400 for what is no UID."""
    text: str | None = request.path_params.get(name)
    if text is not None and not UID.fullmatch(text):
        raise RequestError(400, f"the {name} in the path is no UID: digits and dots, 64 at most")
    return text


def selection_of(request: Request) -> InstanceSelection:
    """What the path selects. An original's UID selects the instance that is served for it."""
    study, series, instance = (uid_of(request, name) for name in ("study", "series", "instance"))
    return InstanceSelection(
        study_uids=(study,) if study else (),
        series_uids=(series,) if series else (),
        sop_instance_uids=(instance,) if instance else (),
    )


async def targets_of(request: Request) -> list[InstanceIdentity]:
    """The instances that the path names, at least one. Raises UnknownInstanceError (404) where there is none.

    Quarantined ones are there; `givable` leaves them out.
    """
    selection = selection_of(request)
    if selection.sop_instance_uids:
        return [await in_thread(_instance, archive_of(request), selection)]
    found = await in_thread(archive_of(request).select, selection)
    if not found:
        raise UnknownInstanceError("nothing in the archive has these UIDs")
    return found


def _instance(archive: Archive, selection: InstanceSelection) -> InstanceIdentity:
    """One instance, by the statement for that: a third of the time of a selection."""
    identity = archive.identify(selection.sop_instance_uids[0])
    if not _is_within(identity, selection):
        raise UnknownInstanceError("the instance is of another study or series")
    return identity


def _is_within(identity: InstanceIdentity, selection: InstanceSelection) -> bool:
    above = (identity.study_instance_uid,), (identity.series_instance_uid,)
    return above == (selection.study_uids, selection.series_uids)


async def target_of(request: Request) -> InstanceIdentity:
    """The one instance that the path names. Raises UnknownInstanceError, DamagedInstanceError in quarantine."""
    (found, *_) = givable(await targets_of(request))
    return found


def instance_of(request: Request) -> InstanceIdentity:
    """As `target_of`, to be called in a thread."""
    (found,) = givable([_instance(archive_of(request), selection_of(request))])
    return found


def glance(request: Request) -> InstanceIdentity | None:
    """As `instance_of`, on the event loop's own thread; None where that would wait, or would raise an error."""
    selection = selection_of(request)
    identity = archive_of(request).glance(selection.sop_instance_uids[0])
    is_given = identity is not None and not identity.quarantined and _is_within(identity, selection)
    return identity if is_given else None


def givable(identities: list[InstanceIdentity]) -> list[InstanceIdentity]:
    """Those that are not in quarantine. Raises DamagedInstanceError when all are."""
    whole = [identity for identity in identities if not identity.quarantined]
    if not whole:
        raise DamagedInstanceError("what is stored was found damaged and is not given out")
    return whole


def tag_of(request: Request, identities: list[InstanceIdentity], *facts: object) -> str:
    """A validator for what is made of instances: their contents and marks, settings, and other facts."""
    return tag_of_keys(request, map(key_of, identities), *facts)


def key_of(identity: InstanceIdentity) -> str:
    """A name for all that leaves of the instance: the policy's choice, too, which its marks tell of. 10 us."""
    return outgoing_key(identity).hex()


def tag_of_keys(request: Request, keys: Iterable[str], *facts: object) -> str:
    """As `tag_of`, of the instances' keys."""
    settings = request.app.state.settings.archive
    return entity_tag(__version__, *facts, settings.rewrite_references, *keys)


def caching(request: Request, tag: str) -> dict[str, str]:
    """Headers for an answer of one instance: for ever, unless the site lets instances change under their UID."""
    settings = request.app.state.settings.archive
    changes = settings.on_conflict == "replace" or settings.rewrite_references
    return {"ETag": tag, "Cache-Control": ASK_AGAIN if changes else FOREVER}
