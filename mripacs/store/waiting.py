"""Objects that are acknowledged as received, until they are compressed and become instances.

Study and series exist and count them; at instance level nothing sees them: whoever reads instances has them settled
first (`Store.settler`), so that no reader ever meets another identity than the one that stays. How they become
instances: `mripacs.store.settling`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select

from mripacs.core.errors import DamagedInstanceError
from mripacs.core.model import (
    IndexAttributes,
    InstanceSelection,
    Query,
    ReceivedFrom,
    ReceivedObject,
    WaitingObject,
)
from mripacs.store import schema
from mripacs.store.headers import digest
from mripacs.store.locks import own_uids, share_study
from mripacs.store.origins import words_of
from mripacs.store.prepared import Prepared
from mripacs.store.reading import ABOVE, KEPT_STATEMENTS, values_of
from mripacs.store.tallies import count_one_more
from mripacs.store.together import Together
from mripacs.store.writing import (
    find_or_add_series,
    find_or_add_study,
    now,
    uid_of_series,
    uid_of_study,
)

log = logging.getLogger(__name__)

ATTEMPTS = 10  # of an instance whose reference is deleted meanwhile: each needs another deletion

_waiting, _uid = schema.waiting.c, schema.instance_uid.c
_study, _series = schema.study.c, schema.series.c
# Whether the UID is taken, and where the object belongs, in one statement: most find study and series there.
_PLACE = Prepared(
    select(
        select(_uid.uid)
        .where(_uid.uid == bindparam("named"))
        .exists()
        .label("stored"),  # other bytes than in `waiting`
        select(_waiting.uid).where(_waiting.uid == bindparam("uid")).exists().label("waits"),
        select(_study.id).where(_study.study_instance_uid == bindparam("study")).scalar_subquery().label("study_id"),
        select(_series.id)
        .join(schema.study, _series.study_id == _study.id)
        .where(_study.study_instance_uid == bindparam("study"), _series.series_instance_uid == bindparam("series"))
        .scalar_subquery()
        .label("series_id"),
    )
)
_COLUMNS: dict[str, Any] = {column.name: bindparam(column.name) for column in _waiting if column is not _waiting.id}
_ADD = Prepared(insert(schema.waiting).values(_COLUMNS).returning(_waiting.id))
_LOAD = select(schema.waiting).where(_waiting.id == bindparam("row"))
_TOTALS = select(func.count(_waiting.id), func.coalesce(func.sum(func.length(_waiting.data)), 0))
_PLACED = (
    select(_waiting.id)
    .join(schema.series, _waiting.series_id == _series.id)
    .join(schema.study, _series.study_id == _study.id)
    .order_by(_waiting.id.desc())
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The waiting objects of one database. Thread-safe."""

    reading: Callable[[], AbstractContextManager[Connection]]
    together: Together

    def add(self, received: ReceivedObject, found: IndexAttributes, owner: str) -> tuple[int, str] | None:
        """Keep an object durably, counted in its study and series; its number and the time of receipt.

        owner : the node that will compress it. None when its UID names an instance or a waiting object already:
        nothing was written then. Raises StoreError and its leaves.
        """
        sha256 = hashlib.sha256(received.dataset).digest()

        def write(connection: Connection) -> tuple[int, str] | None:
            time = now()
            number = _write(connection, received, found, {"owner": owner, "received_at": time, "digest": sha256})
            return None if number is None else (number, time)

        return self.together.run(write)

    def load(self, number: int) -> WaitingObject | None:
        """The object; None when it waits no longer. Raises DamagedInstanceError."""
        with self.reading() as connection:
            row = connection.execute(_LOAD, {"row": number}).mappings().first()
        if row is None:
            return None
        if digest(row["data"]) != row["digest"]:
            raise DamagedInstanceError(f"{row['uid']}, acknowledged and not compressed yet, does not match its digest")
        origin = (row["door"], row["calling_ae"], row["called_ae"], row["peer"])
        received = ReceivedObject(row["data"], row["transfer_syntax"], row["sop_class_uid"], row["uid"], *origin)
        return WaitingObject(number, received, row["received_at"])

    def numbers(self, owner: str | None = None, before: str | None = None) -> list[int]:
        """Numbers of what waits, oldest first: all of it, a node's, or what came before a time (ISO 8601, UTC)."""
        statement = select(_waiting.id).order_by(_waiting.id)
        statement = statement if owner is None else statement.where(_waiting.owner == owner)
        statement = statement if before is None else statement.where(_waiting.received_at < before)
        with self.reading() as connection:
            return list(connection.execute(statement).scalars())

    def named(self, selection: InstanceSelection) -> list[int]:
        """Numbers of what waits among the instances that a selection names, by their original UIDs; newest first."""
        with self.reading() as connection:
            return list(connection.execute(*among(_PLACED, selection)).scalars())

    def totals(self) -> tuple[int, int]:
        """How many objects wait, and their bytes."""
        with self.reading() as connection:
            count, size = connection.execute(_TOTALS).one()
        return int(count), int(size)


def among(statement: Select[Any], selection: InstanceSelection) -> tuple[Select[Any], dict[str, list[str]]]:
    """A select from waiting objects with their series and study, restricted to what a selection names, and its values.

    As `restricted` for stored instances. Raises QueryError as that does.
    """
    values = values_of(selection)
    return _among(statement, tuple(values)), values


@lru_cache(KEPT_STATEMENTS)
def _among(statement: Select[Any], names: tuple[str, ...]) -> Select[Any]:
    columns = {**ABOVE, "sop_instance_uids": _waiting.uid}
    return statement.where(*(columns[name].in_(bindparam(name, expanding=True)) for name in names))


def selection_around(query: Query) -> InstanceSelection:
    """What a query of instances can at most find, as far as UIDs above them say."""
    uids = {
        match.keyword: match.values
        for match in query.matches
        if match.kind in ("single", "list") and match.keyword in ("StudyInstanceUID", "SeriesInstanceUID")
    }
    return InstanceSelection(
        study_uids=tuple(uids.get("StudyInstanceUID", ())), series_uids=tuple(uids.get("SeriesInstanceUID", ()))
    )


def _write(
    connection: Connection, received: ReceivedObject, found: IndexAttributes, more: dict[str, Any]
) -> int | None:
    """The rows of a waiting object; None when its UID is taken."""
    share_study(connection, uid_of_study(found))
    own_uids(connection, [received.sop_instance_uid])
    uid = received.sop_instance_uid
    names = {"uid": uid, "named": uid, "study": uid_of_study(found), "series": uid_of_series(found)}
    ((stored, waits, study_id, series_id),) = _PLACE.run(connection, names)
    if stored or waits:
        return None
    study_id = study_id or find_or_add_study(connection, found)
    series_id = series_id or find_or_add_series(connection, study_id, found)[0]
    row = {
        "series_id": series_id,
        "uid": received.sop_instance_uid,
        "sop_class_uid": received.sop_class_uid,
        "transfer_syntax": received.transfer_syntax,
        **words_of(ReceivedFrom(received.source, received.calling_ae, received.called_ae, received.peer)),
        "data": received.dataset,
        **more,
    }
    ((number,),) = _ADD.run(connection, row)
    count_one_more(connection, study_id, series_id)
    return int(number)
