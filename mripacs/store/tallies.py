"""Numbers that study and series rows keep of what is below them: kept up by each writer, derived anew by deletions."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update

from mripacs.store import schema
from mripacs.store.prepared import Prepared

_study, _series, _instance, _waiting = schema.study.c, schema.series.c, schema.instance.c, schema.waiting.c

_ONE_MORE_IN_STUDY = Prepared(
    update(schema.study).where(_study.id == bindparam("row")).values(number_of_instances=_study.number_of_instances + 1)
)
_ONE_MORE_IN_SERIES = Prepared(
    update(schema.series)
    .where(_series.id == bindparam("row"))
    .values(number_of_instances=_series.number_of_instances + 1)
    .returning(_series.number_of_instances)
)
_MEMBERS = Prepared(
    select(_series.modality).where(_series.study_id == bindparam("row"), _series.number_of_instances > 0)
)
_DESCRIBE_STUDY = Prepared(
    update(schema.study)
    .where(_study.id == bindparam("row"))
    .values(number_of_series=bindparam("count"), modalities=bindparam("joined"))
)


def _count_in_series(number: ColumnElement[int], series_id: ColumnElement[int]) -> ColumnElement[int]:
    return select(func.count(number)).where(series_id == _series.id).correlate(schema.series).scalar_subquery()


instances_of_series = _count_in_series(_instance.id, _instance.series_id) + _count_in_series(
    _waiting.id, _waiting.series_id
)  # those that wait to be compressed are acknowledged, and counted
_RECOUNT_SERIES = (
    update(schema.series)
    .where(_series.study_id == bindparam("row"), _series.number_of_instances != instances_of_series)
    .values(number_of_instances=instances_of_series)
)
_RECOUNT_STUDY = (
    update(schema.study)
    .where(_study.id == bindparam("row"))
    .values(
        number_of_instances=select(func.coalesce(func.sum(_series.number_of_instances), 0))
        .where(_series.study_id == bindparam("row"))
        .scalar_subquery()
    )
)


def count_one_more(connection: Connection, study_id: int, series_id: int) -> None:
    """One instance more; a series' first one also changes the number of series and the study's modalities."""
    _ONE_MORE_IN_STUDY.run(connection, {"row": study_id})  # first: writers of a study queue here, then see all
    ((count,),) = _ONE_MORE_IN_SERIES.run(connection, {"row": series_id})
    if count == 1:
        _describe(connection, study_id)


def recount(connection: Connection, study_ids: Iterable[int]) -> None:
    """Derive all numbers of the studies and their series anew; nobody else may be changing them."""
    for study_id in study_ids:
        connection.execute(_RECOUNT_SERIES, {"row": study_id})
        connection.execute(_RECOUNT_STUDY, {"row": study_id})
        _describe(connection, study_id)


def joined_modalities(modalities: Iterable[str | None]) -> str:
    """The study's column for the modalities of its series."""
    return "\\".join(sorted({modality for modality in modalities if modality}))


def _describe(connection: Connection, study_id: int) -> None:
    modalities = [modality for (modality,) in _MEMBERS.run(connection, {"row": study_id})]
    described = {"row": study_id, "count": len(modalities), "joined": joined_modalities(modalities)}
    _DESCRIBE_STUDY.run(connection, described)
