"""Objects that are acknowledged as received, until they are compressed and become instances.

Study and series exist and count them; at instance level nothing sees them: whoever reads instances has them settled
first (`Store.settler`), so that no reader ever meets another identity than the one that stays. An object's row goes in
the transaction that writes its instance.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, union_all
from sqlalchemy.exc import IntegrityError

from mripacs.core.errors import ConflictError, DamagedInstanceError, MripacsError
from mripacs.core.model import IndexAttributes, InstanceSelection, NewInstance, Query, ReceivedObject, WaitingObject
from mripacs.store import schema
from mripacs.store.adding import AddedInstance, added, always_late, refused, require_rows_that_fit
from mripacs.store.failures import is_race
from mripacs.store.headers import PackedHeader, digest
from mripacs.store.locks import own_uids, share_study
from mripacs.store.match_forms import text_form
from mripacs.store.reading import any_of
from mripacs.store.tallies import count_one_more
from mripacs.store.together import Together
from mripacs.store.writing import (
    StillWaiting,
    find_or_add_series,
    find_or_add_study,
    now,
    uid_of_study,
    write_instance,
)

log = logging.getLogger(__name__)

ATTEMPTS = 10  # of an instance whose reference is deleted meanwhile: each needs another deletion

_waiting, _uid = schema.waiting.c, schema.instance_uid.c
_study, _series = schema.study.c, schema.series.c
_TAKEN = union_all(
    select(_uid.uid).where(_uid.uid == bindparam("uid")), select(_waiting.uid).where(_waiting.uid == bindparam("uid"))
)
_ADD = insert(schema.waiting).returning(_waiting.id)
_TAKE = delete(schema.waiting).where(_waiting.id == bindparam("row")).returning(_waiting.id)
_LOAD = select(schema.waiting).where(_waiting.id == bindparam("row"))
_TOTALS = select(func.count(_waiting.id), func.coalesce(func.sum(func.length(_waiting.data)), 0))
_PLACED = (
    select(_waiting.id)
    .join(schema.series, _waiting.series_id == _series.id)
    .join(schema.study, _series.study_id == _study.id)
    .order_by(_waiting.id.desc())
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a waiting object has become."""

    number: int
    new: NewInstance
    received_at: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The waiting objects of one database. Thread-safe."""

    reading: Callable[[], AbstractContextManager[Connection]]
    together: Together
    pack: Callable[[NewInstance], PackedHeader]
    one_reference: AbstractContextManager[Any]  # held by whoever adds a header reference

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

    def settle_many(self, settled: Sequence[Settled]) -> list[AddedInstance | MripacsError | None]:
        """Write the instances that waiting objects have become, each in one transaction with the end of its waiting.

        As few transactions as may be. None for one that waits no longer: another thread or node was faster;
        ConflictError where another instance or waiting object has the UID that it would be served under; StoreError.
        """
        try:
            packed = [self.pack(each.new) for each in settled]
            if all(header.reference_data is None for header in packed):
                return list(self._write(list(zip(settled, packed, strict=True))))
        except (MripacsError, IntegrityError, StillWaiting):
            log.debug("%d objects are settled one by one", len(settled))
        return [self._settle_or_error(each) for each in settled]

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
        restrictions = (
            (_study.patient_id, [text_form(each) or "" for each in selection.patient_ids]),
            (_study.study_instance_uid, selection.study_uids),
            (_series.series_instance_uid, selection.series_uids),
            (_waiting.uid, selection.sop_instance_uids),
        )
        statement = _PLACED
        for column, values in restrictions:
            statement = statement.where(any_of(column, values)) if values else statement
        with self.reading() as connection:
            return list(connection.execute(statement).scalars())

    def totals(self) -> tuple[int, int]:
        """How many objects wait, and their bytes."""
        with self.reading() as connection:
            count, size = connection.execute(_TOTALS).one()
        return int(count), int(size)

    def _settle_or_error(self, settled: Settled) -> AddedInstance | MripacsError | None:
        try:
            return self._settle(settled)
        except MripacsError as error:
            return error

    def _settle(self, settled: Settled) -> AddedInstance | None:
        new = settled.new
        for _ in range(ATTEMPTS):
            try:
                return self._settle_once(settled)
            except StillWaiting as error:
                raise ConflictError(f"another object waits under {error.uids[0]}") from error
            except IntegrityError as error:
                if self._is_taken(new.sop_instance_uid):
                    raise ConflictError(f"another instance is stored under {new.sop_instance_uid}") from error
                if not is_race(error):
                    raise refused(new, error) from error
        raise always_late(new)

    def _settle_once(self, settled: Settled) -> AddedInstance | None:
        header = self.pack(settled.new)
        if header.reference_data is None:
            return self._write([(settled, header)])[0]
        with self.one_reference:  # else each thread that settles a part of a new series adds its own
            return self._write([(settled, self.pack(settled.new))])[0]

    def _write(self, packed: Sequence[tuple[Settled, PackedHeader]]) -> list[AddedInstance | None]:
        """One transaction."""
        for settled, header in packed:
            require_rows_that_fit(settled.new, header)

        def write(connection: Connection) -> list[AddedInstance | None]:
            return [_become(connection, settled, header) for settled, header in packed]

        return self.together.run(write)

    def _is_taken(self, uid: str) -> bool:
        with self.reading() as connection:
            return connection.execute(_TAKEN, {"uid": uid}).first() is not None


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


def _become(connection: Connection, settled: Settled, header: PackedHeader) -> AddedInstance | None:
    """The rows of the instance in the place of the waiting object's; None when that has gone."""
    share_study(connection, uid_of_study(settled.new.attributes))  # before any row: as everybody does
    if connection.execute(_TAKE, {"row": settled.number}).first() is None:
        return None
    write_instance(connection, settled.new, header, received_at=settled.received_at)
    return added(settled.new, header, settled.received_at)


def _write(
    connection: Connection, received: ReceivedObject, found: IndexAttributes, more: dict[str, Any]
) -> int | None:
    """The rows of a waiting object; None when its UID is taken."""
    share_study(connection, uid_of_study(found))
    own_uids(connection, [received.sop_instance_uid])
    if connection.execute(_TAKEN, {"uid": received.sop_instance_uid}).first() is not None:
        return None
    study_id = find_or_add_study(connection, found)
    series_id, _ = find_or_add_series(connection, study_id, found)
    row = {
        "series_id": series_id,
        "uid": received.sop_instance_uid,
        "sop_class_uid": received.sop_class_uid,
        "transfer_syntax": received.transfer_syntax,
        "door": received.source,
        "calling_ae": received.calling_ae,
        "called_ae": received.called_ae,
        "peer": received.peer,
        "data": received.dataset,
        **more,
    }
    number = int(connection.execute(_ADD, row).scalar_one())
    count_one_more(connection, study_id, series_id)
    return number
