"""Whole studies written at once, for benchmarks: the rows that `Store.add` writes one instance after the other.

Rows that many instances share are written once, the others by lists, which is some twenty times as fast. Nobody else
may be writing, and nothing of a study may be there before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert, text
from sqlalchemy.types import TypeDecorator

from mripacs.core.model import NewInstance
from mripacs.store import name_parts, origins, schema
from mripacs.store.database import Database
from mripacs.store.engine import compact_json
from mripacs.store.headers import digest, make_reference, pack, pack_alone
from mripacs.store.rows import Values, instance_values, series_values, study_values
from mripacs.store.seals import seal
from mripacs.store.tallies import joined_modalities
from mripacs.store.writing import header_values, now

_STUDY = insert(schema.study).returning(schema.study.c.id)
_SERIES = insert(schema.series).returning(schema.series.c.id)
_REFERENCE = insert(schema.header_reference).returning(schema.header_reference.c.id)
_INSTANCE = insert(schema.instance).returning(schema.instance.c.id, sort_by_parameter_order=True)
_NUMBERS = text("SELECT nextval('instance_id_seq') FROM generate_series(1, :count)")


class BulkStore(Database):
    """A database that takes whole studies. `open` makes one; it is a context manager."""

    def add_studies(self, studies: Iterable[Sequence[NewInstance]]) -> None:
        """Write new studies, each with its instances series by series, in one transaction."""
        with self._writing() as connection:
            for news in studies:
                write_study(connection, news)


def write_study(connection: Connection, news: Sequence[NewInstance]) -> None:
    """Write all rows of the instances of one new study, which come series by series and have payloads.

    The header of a series' first instance becomes the reference of the others.
    """
    by_series = [list(group) for _, group in groupby(news, key=lambda new: new.attributes.series["SeriesInstanceUID"])]
    modalities = joined_modalities(str(group[0].attributes.series.get("Modality", "")) for group in by_series)
    counts = {"number_of_series": len(by_series), "number_of_instances": len(news), "modalities": modalities}
    values: Values = {**study_values(news[0].attributes), **counts}
    values["row_digest"] = seal(schema.study, values)
    study_id = connection.execute(_STUDY, values).scalar_one()
    name_parts.write(connection, study_id, values)
    for group in by_series:
        _write_series(connection, {"study_id": study_id}, str(values["study_instance_uid"]), group)


def _write_series(connection: Connection, above: Values, study_uid: str, news: Sequence[NewInstance]) -> None:
    values: Values = {**above, **series_values(news[0].attributes), "number_of_instances": len(news)}
    values["row_digest"] = seal(schema.series, values, study_uid)
    series_id = connection.execute(_SERIES, values).scalar_one()
    reference_id, packed = _write_reference(connection, series_id, news)
    time = now()
    origin_ids = origins.find_or_add(connection, (new.source for new in news))
    rows = []
    for new in news:
        own: Values = {"series_id": series_id, "received_at": time, "header_bytes": len(packed[new.header])}
        own["origin_id"] = origin_ids[new.source]
        own |= {"state": schema.STORED, **instance_values(new, values["instance_attributes"])}
        own["row_digest"] = seal(schema.instance, own, study_uid, str(values["series_instance_uid"]), reference_id)
        rows.append(own)
    ids = _write_instances(connection, rows)
    _write_parts(connection, list(zip(ids, news, strict=True)), packed, reference_id)


def _write_reference(
    connection: Connection, series_id: int, news: Sequence[NewInstance]
) -> tuple[int, dict[bytes, bytes]]:
    """The reference's row, and each header as it is packed against it."""
    reference = make_reference(news[0].header)
    data = pack_alone(reference.raw)
    row = {"series_id": series_id, "transfer_syntax": news[0].transfer_syntax, "raw_length": len(reference.raw)}
    reference_id = connection.execute(_REFERENCE, {**row, "digest": digest(data), "data": data}).scalar_one()
    return int(reference_id), {header: pack(header, [reference]).data for header in {new.header for new in news}}


def _write_parts(
    connection: Connection, rows: Sequence[tuple[int, NewInstance]], packed: dict[bytes, bytes], reference_id: int
) -> None:
    uids = [(uid, row) for row, new in rows for uid in {new.sop_instance_uid, new.original_sop_instance_uid}]
    _write(connection, schema.instance_uid, [{"uid": uid, "instance_id": row} for uid, row in uids])
    headers = [
        {"instance_id": row, "reference_id": reference_id, **header_values(new.header, packed[new.header])}
        for row, new in rows
    ]
    _write(connection, schema.header, headers)
    payloads = [{"instance_id": row, "digest": digest(new.payload or b""), "data": new.payload} for row, new in rows]
    _write(connection, schema.payload, payloads)


def _write_instances(connection: Connection, rows: Sequence[Values]) -> list[int]:
    """Their numbers, in the same order."""
    if connection.dialect.name == "sqlite":
        return list(connection.execute(_INSTANCE, rows).scalars())
    ids = list(connection.execute(_NUMBERS, {"count": len(rows)}).scalars())
    json = ({**row, "attributes": compact_json(row["attributes"])} for row in rows)
    _write(connection, schema.instance, [{"id": number, **row} for number, row in zip(ids, json, strict=True)])
    return ids


def _write(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Rows with the same columns each; by COPY on PostgreSQL, which takes a quarter of the time of inserts."""
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
        return
    driver: Any = connection.connection.driver_connection
    kinds = [table.c[name].type for name in rows[0]]
    convert = [kind.process_bind_param if isinstance(kind, TypeDecorator) else _as_it_is for kind in kinds]
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({', '.join(rows[0])}) FROM STDIN") as copy:
        for row in rows:
            values = zip(convert, row.values(), strict=True)
            copy.write_row(tuple(short(value, connection.dialect) for short, value in values))


def _as_it_is(value: Any, _dialect: Dialect) -> Any:
    return value
