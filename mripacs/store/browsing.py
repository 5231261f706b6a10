"""What a page shows of studies and series: a picture that stands for them, their instances in order, their bytes."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from mripacs.core.model import SeriesTotals
from mripacs.store import schema

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c


def middle_instance(connection: Connection, study_uid: str, series_uid: str | None = None) -> str | None:
    """Its SOP Instance UID as served; None where the study or series is unknown or nothing of it is given out.

    Two reads by indexes; of the series' instances only half are walked through.
    """
    largest = (
        select(_series.id, _series.number_of_instances)
        .join(schema.study, _series.study_id == _study.id)
        .where(_study.study_instance_uid == study_uid)
        .order_by(_series.number_of_instances.desc(), _series.id)
        .limit(1)
    )
    if series_uid is not None:
        largest = largest.where(_series.series_instance_uid == series_uid)
    found = connection.execute(largest).first()
    if found is None:
        return None
    middle = (
        select(_instance.sop_instance_uid)
        .where(_instance.series_id == found.id, _instance.state == schema.STORED)
        .order_by(_instance.instance_number, _instance.id)
        .offset(max(0, found.number_of_instances - 1) // 2)
        .limit(1)
    )
    return connection.execute(middle).scalar()


def series_order(connection: Connection, study_uid: str, series_uid: str) -> list[str]:
    """Served UIDs of the series' instances, those in quarantine too, by Instance Number."""
    statement = (
        select(_instance.sop_instance_uid)
        .join(schema.series, _instance.series_id == _series.id)
        .join(schema.study, _series.study_id == _study.id)
        .where(_study.study_instance_uid == study_uid, _series.series_instance_uid == series_uid)
        .order_by(_instance.instance_number.is_(None), _instance.instance_number, _instance.id)
    )
    return list(connection.execute(statement).scalars())


def series_totals(connection: Connection, study_uid: str) -> dict[str, SeriesTotals]:
    """What each series of a study takes, by Series Instance UID; walks the study's instances only."""
    statement = (
        select(
            _series.series_instance_uid,
            func.count(_instance.id),
            func.sum(_instance.received_bytes),
            func.sum(_instance.payload_bytes),
            func.sum(_instance.header_bytes),
            func.max(_instance.rel_error),
        )
        .join(schema.series, _instance.series_id == _series.id)
        .join(schema.study, _series.study_id == _study.id)
        .where(_study.study_instance_uid == study_uid)
        .group_by(_series.id, _series.series_instance_uid)
    )
    rows = connection.execute(statement).all()
    return {row[0]: SeriesTotals(row[1], int(row[2]), int(row[3]), int(row[4]), row[5]) for row in rows}
