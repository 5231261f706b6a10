"""The database seen from above: totals, growth, pictures, health. `Store` inherits these reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from mripacs.core.model import DatabaseHealth, GrowthPage, InstanceSelection, SeriesTotals
from mripacs.store import browsing, growth, health
from mripacs.store.database import Database
from mripacs.store.waiting import Waiting


class Overview(Database):
    """Reads for people who look after the node; none of them touches a payload.

    settler : has waiting objects, by their numbers, compressed and written before instances are read; without one they
    stay unseen.
    """

    waiting: Waiting

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.settler: Callable[[Sequence[int]], None] | None = None

    def health(self) -> DatabaseHealth:
        """Size and room of a database that answers; StoreUnavailableError when it does not."""
        with self._reading() as connection:
            return health.measure(connection, self._engine)

    def growth(self, after: int, before: str) -> GrowthPage:
        """Totals by day and manufacturer of the instances numbered above `after`.

        before : those received earlier (ISO 8601, UTC) are settled.
        """
        with self._reading() as connection:
            upto = growth.settled(connection, after, before)
            return GrowthPage(
                tuple(growth.read(connection, after, upto)),
                upto,
                tuple(growth.read(connection, upto)),
                growth.reference_bytes(connection),
            )

    def removals(self, after: int, before: str) -> tuple[bool, int]:
        """Whether the events numbered above `after` tell of a deletion, and the last one from before a time."""
        with self._reading() as connection:
            return growth.removals(connection, after, before)

    def middle_instance(self, study_uid: str, series_uid: str | None = None) -> str | None:
        """Served UID of the instance that stands for a study or series in pictures; None when there is none."""
        self._settle(InstanceSelection(study_uids=(study_uid,)))
        with self._reading() as connection:
            return browsing.middle_instance(connection, study_uid, series_uid)

    def series_order(self, study_uid: str, series_uid: str) -> list[str]:
        """Served UIDs of a series' instances, by Instance Number."""
        self._settle(InstanceSelection(study_uids=(study_uid,), series_uids=(series_uid,)))
        with self._reading() as connection:
            return browsing.series_order(connection, study_uid, series_uid)

    def series_totals(self, study_uid: str) -> dict[str, SeriesTotals]:
        """What each series of a study takes, by Series Instance UID."""
        self._settle(InstanceSelection(study_uids=(study_uid,)))
        with self._reading() as connection:
            return browsing.series_totals(connection, study_uid)

    def _settle(self, selection: InstanceSelection) -> None:
        """Have what waits of a selection compressed before its instances are read.

        One statement, 0.1 ms, where nothing does. Raises what the settler raises.
        """
        if self.settler is not None and (numbers := self.waiting.named(selection)):
            self.settler(numbers)
