"""Headers of many instances at once, without their payloads: one statement a page, references read once."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from mripacs.core.errors import QueryError
from mripacs.core.model import StoredHeader
from mripacs.store import schema
from mripacs.store.headers import ReferenceCache
from mripacs.store.reading import HIERARCHY, MAX_UIDS, checked_header, damaged, find_reference, identity_of
from mripacs.store.seals import instance_is_intact

_study, _series, _instance, _header = schema.study.c, schema.series.c, schema.instance.c, schema.header.c
_HEADERS = select(
    *schema.instance.c,
    _study.study_instance_uid,
    _series.series_instance_uid,
    _header.data.label("header_data"),
    _header.digest.label("header_digest"),
    _header.raw_length.label("header_raw_length"),
    _header.raw_digest.label("header_raw_digest"),
    _header.reference_id.label("header_reference_id"),
).select_from(HIERARCHY.outerjoin(schema.header, _header.instance_id == _instance.id))
_NAMED = select(schema.instance_uid.c.instance_id).where(
    schema.instance_uid.c.uid.in_(bindparam("uids", expanding=True))
)
_NAMED_HEADERS = _HEADERS.where(_instance.id.in_(_NAMED))  # built once: that takes as long as running it


def load_headers(connection: Connection, uids: Sequence[str], cache: ReferenceCache) -> list[StoredHeader]:
    """Headers of the instances served under the UIDs, in their order; unknown UIDs are left out.

    Raises DamagedInstanceError naming the instance and the part, QueryError for too many UIDs.
    """
    if len(uids) > MAX_UIDS:
        raise QueryError(f"headers of {len(uids)} instances at once; at most {MAX_UIDS} are read")
    found: dict[str, StoredHeader] = {}
    for row in connection.execute(_NAMED_HEADERS, {"uids": list(uids)}).mappings():
        identity = identity_of(row)
        if identity.quarantined:
            raise damaged(row, "data", "were found damaged: it is in quarantine")
        header = checked_header(row, find_reference(connection, row, cache))
        if not instance_is_intact(row):
            raise damaged(row, "index row", "does not match its digest")
        found[identity.sop_instance_uid] = StoredHeader(identity, header, row["pixel_offset"])
    return [found[uid] for uid in uids if uid in found]
