"""Who may change a study at the same time on PostgreSQL: many that add to it, or one that takes away from it.

An instance that is added leans on rows of its study, its series and a header reference, which a deletion may be about
to drop; row locks alone would let the two wait for each other. So whoever adds shares the study's advisory lock and
whoever deletes holds it alone, before anything else of the transaction. It ends with the transaction. On SQLite a
transaction that writes is alone anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, text

_SHARED = text("SELECT pg_advisory_xact_lock_shared(:key)")
_ALONE = text("SELECT pg_advisory_xact_lock(:key)")


def share_study(connection: Connection, study_uid: str) -> None:
    """Wait until nobody deletes from the study, and keep deletions out until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(_SHARED, {"key": _key(study_uid)})


def share_studies(connection: Connection, study_uids: Iterable[str]) -> None:
    """`share_study` of several, in the order of `own_studies`: a deletion of the same ones would meet us half-way."""
    if connection.dialect.name == "postgresql":
        for key in sorted({_key(uid) for uid in study_uids}):
            connection.execute(_SHARED, {"key": key})


def own_studies(connection: Connection, study_uids: Iterable[str]) -> None:
    """Wait until nobody else changes the studies, and keep everybody out until the transaction ends."""
    if connection.dialect.name == "postgresql":
        for key in sorted({_key(uid) for uid in study_uids}):  # one order: no deadlock between two deletions
            connection.execute(_ALONE, {"key": key})


def own_uids(connection: Connection, uids: Iterable[str]) -> None:
    """Keep others from giving the SOP Instance UIDs to another object until the transaction ends.

    Two tables hold UIDs (instance_uid, waiting), and no constraint is over both.
    """
    if connection.dialect.name == "postgresql":
        for key in sorted({_key(f"instance {uid}") for uid in uids}):  # as above
            connection.execute(_ALONE, {"key": key})


def _key(study_uid: str) -> int:
    """64 bits, as PostgreSQL's locks are named; two studies that share one only wait more."""
    return int.from_bytes(hashlib.sha256(study_uid.encode()).digest()[:8], "big", signed=True)
