"""Waiting objects become instances: many in one transaction, each with the end of its waiting.

Statements are over all of them, table by table: written one by one, sixteen took four times as long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.exc import IntegrityError

from mripacs.core.errors import ConflictError, MripacsError
from mripacs.core.model import NewInstance
from mripacs.store import schema
from mripacs.store.adding import AddedInstance, added, always_late, refused, require_rows_that_fit
from mripacs.store.failures import is_race
from mripacs.store.headers import PackedHeader, Reference
from mripacs.store.locks import share_studies
from mripacs.store.packing import lean
from mripacs.store.together import Together
from mripacs.store.writing import BaseMissing, Placed, StillWaiting, insert_instances, require_not_waiting, uid_of_study

log = logging.getLogger(__name__)

ATTEMPTS = 10  # of an instance whose reference is deleted meanwhile: each needs another deletion

_waiting, _series, _uid = schema.waiting.c, schema.series.c, schema.instance_uid.c
_TAKE = (
    delete(schema.waiting)
    .where(_waiting.id.in_(bindparam("rows", expanding=True)))
    .returning(_waiting.id, _waiting.series_id)
)
_COMMON = select(_series.id, _series.instance_attributes).where(_series.id.in_(bindparam("rows", expanding=True)))
_TAKEN = select(_uid.uid).where(_uid.uid == bindparam("uid"))

Outcome = AddedInstance | MripacsError | None
Packed = tuple["Settled", PackedHeader]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a waiting object has become."""

    number: int
    new: NewInstance
    received_at: str


@dataclass(frozen=True, slots=True)
class Settling:
    """Writes to one database. Thread-safe."""

    reading: Callable[[], AbstractContextManager[Connection]]
    together: Together
    pack: Callable[[NewInstance], PackedHeader]
    one_reference: AbstractContextManager[Any]  # held by whoever adds a header reference

    def settle(self, settled: Sequence[Settled]) -> list[Outcome]:
        """Write the instances, in as few transactions as may be.

        None for an object that waits no longer: another thread or node was faster. ConflictError where another
        instance or waiting object has the UID that it would be served under; other errors of the store.
        """
        outcomes: dict[int, Outcome] = {}
        left = list(settled)
        while left:
            done = self._settle_some(left)
            outcomes |= done
            left = [each for each in left if each.number not in done]
        return [outcomes[each.number] for each in settled]

    def _settle_some(self, left: Sequence[Settled]) -> dict[int, Outcome]:
        """As many as one transaction takes: of a series without a header reference, the one that brings it."""
        try:
            packed = self._packed(left)
            if all(header.reference_data is None for _, header in packed):
                return self._written(packed)
            with self.one_reference:  # else each thread that settles a part of a new series adds its own
                return self._written(lean_on_the_first(_one_reference_a_series(self._packed(left))))
        except MripacsError as error:
            return {each.number: error for each in left}

    def _packed(self, left: Sequence[Settled]) -> list[Packed]:
        return [(each, self.pack(each.new)) for each in left]

    def _written(self, packed: Sequence[Packed]) -> dict[int, Outcome]:
        try:
            done = self._write(packed)
        except (IntegrityError, StillWaiting, BaseMissing):
            log.debug("%d objects are settled one by one", len(packed))
            return {settled.number: self._by_itself(settled) for settled, _ in packed}
        return {settled.number: found for (settled, _), found in zip(packed, done, strict=True)}

    def _by_itself(self, settled: Settled) -> Outcome:
        new = settled.new
        for _ in range(ATTEMPTS):
            try:  # packed anew each time: what its reference leaned on may be gone, or may not have come
                return self._write([(settled, self.pack(new))])[0]
            except BaseMissing:
                continue
            except StillWaiting as error:
                return ConflictError(f"another object waits under {error.uids[0]}")
            except IntegrityError as error:
                if self._is_taken(new.sop_instance_uid):
                    return ConflictError(f"another instance is stored under {new.sop_instance_uid}")
                if not is_race(error):
                    return refused(new, error)
            except MripacsError as error:
                return error
        return always_late(new)

    def _write(self, packed: Sequence[Packed]) -> list[AddedInstance | None]:
        """One transaction."""
        for settled, header in packed:
            require_rows_that_fit(settled.new, header)
        return self.together.run(lambda connection: _become(connection, packed))

    def _is_taken(self, uid: str) -> bool:
        with self.reading() as connection:
            return connection.execute(_TAKEN, {"uid": uid}).first() is not None


def _one_reference_a_series(packed: Sequence[Packed]) -> list[Packed]:
    """Without those that would add a second reference to their series and transfer syntax: they need the first."""
    kept, bringing = [], set()
    for settled, header in packed:
        new = settled.new
        series = new.attributes.series["SeriesInstanceUID"], uid_of_study(new.attributes), new.transfer_syntax
        if header.reference_data is None or series not in bringing:
            kept.append((settled, header))
        if header.reference_data is not None:
            bringing.add(series)
    return kept


def lean_on_the_first(packed: Sequence[Packed]) -> list[Packed]:
    """New references lean on the first new one of their study and transfer syntax where that is worth it."""
    bases: dict[tuple[str, str], Reference] = {}
    leaning = []
    for settled, header in packed:
        if header.reference_data is not None and header.base is None and header.reference is not None:
            base = bases.setdefault(
                (uid_of_study(settled.new.attributes), settled.new.transfer_syntax), header.reference
            )
            if base is not header.reference:
                header = lean(header, [base]) or header  # noqa: PLW2901 - the same header, in fewer bytes
        leaning.append((settled, header))
    return leaning


def _become(connection: Connection, packed: Sequence[Packed]) -> list[AddedInstance | None]:
    """The rows of the instances in the place of the waiting objects'; None for one that has gone."""
    # before any row: as everybody does
    share_studies(connection, (uid_of_study(settled.new.attributes) for settled, _ in packed))
    rows = connection.execute(_TAKE, {"rows": [settled.number for settled, _ in packed]}).all()
    taken: dict[int, int] = {row.id: row.series_id for row in rows}
    ours = [(settled, header) for settled, header in packed if settled.number in taken]
    if ours:
        uids = {uid for each, _ in ours for uid in (each.new.sop_instance_uid, each.new.original_sop_instance_uid)}
        require_not_waiting(connection, uids)
        found = connection.execute(_COMMON, {"rows": sorted(set(taken.values()))}).all()
        common = {row.id: row.instance_attributes for row in found}
        placed = [
            Placed(each.new, header, taken[each.number], common[taken[each.number]], each.received_at)
            for each, header in ours
        ]
        insert_instances(connection, placed)
    return [
        added(settled.new, header, settled.received_at) if settled.number in taken else None
        for settled, header in packed
    ]
