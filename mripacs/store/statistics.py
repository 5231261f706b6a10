"""Totals for `mripacs admin stats`, each one grouped statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, case, cast, func, select

from mripacs.core.model import ArchiveStatistics
from mripacs.store import schema
from mripacs.store.reading import HIERARCHY

ERROR_EDGES = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1)  # upper ends of the histogram's buckets, relative error

_series, _instance = schema.series.c, schema.instance.c
_TOTALS = (
    func.count(_instance.id).label("instances"),
    func.coalesce(func.sum(_instance.received_bytes), 0).label("received_bytes"),
    func.coalesce(func.sum(_instance.payload_bytes), 0).label("payload_bytes"),
    func.coalesce(func.sum(_instance.header_bytes), 0).label("header_bytes"),
)


def _error_bucket() -> ColumnElement[str]:
    """Labels that sort as the errors do."""
    buckets = [(_instance.rel_error <= edge, f"<= {edge:g}") for edge in ERROR_EDGES]
    none = (func.coalesce(_instance.rel_error, 0.0) == 0.0, "0")
    return case(none, *buckets, else_=f"> {ERROR_EDGES[-1]:g}")


_GROUPINGS: Mapping[str, ColumnElement[Any]] = {
    "tier": _instance.tier,
    "codec": func.coalesce(_instance.codec, "none"),
    "generation": _instance.generation,
    "modality": func.coalesce(_series.modality, ""),
    "manufacturer": func.coalesce(cast(_series.attributes["Manufacturer"].as_string(), Text), ""),
    "error": _error_bucket(),
}


def collect(connection: Connection) -> ArchiveStatistics:
    """Totals, and for each grouping the rows {"name", "instances", "received_bytes", "payload_bytes", "header_bytes"}.

    Groupings: tier, codec, generation, modality, manufacturer, error (relative error of the worst frame, by bucket).
    """
    totals = connection.execute(select(*_TOTALS)).mappings().one()
    return ArchiveStatistics(
        patients=_scalar(connection, func.count(schema.study.c.patient_key.distinct())),
        studies=_scalar(connection, func.count(schema.study.c.id)),
        series=_scalar(connection, func.count(_series.id)),
        reference_bytes=_scalar(connection, func.coalesce(func.sum(func.length(schema.header_reference.c.data)), 0)),
        by={name: _grouped(connection, expression) for name, expression in _GROUPINGS.items()},
        **{name: int(value) for name, value in totals.items()},
    )


def reference_bytes(connection: Connection) -> dict[str, int]:
    """Stored bytes of header references by Series Instance UID."""
    reference = schema.header_reference
    statement = (
        select(_series.series_instance_uid, func.sum(func.length(reference.c.data)))
        .select_from(schema.series.join(reference, reference.c.series_id == _series.id))
        .group_by(_series.series_instance_uid)
    )
    return {uid: int(total) for uid, total in connection.execute(statement)}


def _grouped(connection: Connection, expression: ColumnElement[Any]) -> tuple[Mapping[str, Any], ...]:
    name = expression.label("name")
    statement = select(name, *_TOTALS).select_from(HIERARCHY).group_by(name).order_by(name)
    rows = connection.execute(statement).mappings()
    return tuple({key: value if key == "name" else int(value) for key, value in row.items()} for row in rows)


def _scalar(connection: Connection, expression: ColumnElement[Any]) -> int:
    return int(connection.execute(select(expression)).scalar_one())
