"""Digests of index rows: what a query or a certificate says is what was written.

A row's digest is SHA-256 over its columns' values as read (so that both databases agree; a change of bytes that leaves
every value the same, as 1e-5 written 1E-5 inside JSON, is none) and over what places it: the UIDs above it, for an
instance also the header reference that its header needs. Row numbers, counts and the state are left out: they change,
and are checked against the rows that they speak of; so are the bytes of the pixels, which the certificate holds, too.
Where an instance came from is left out, as it was when events alone told.
A certificate that is packed counts by its bytes, one from before that, which is plain JSON, by what it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table

from mripacs.store import schema
from mripacs.store.certificates import PLAIN, unpack

_CHANGING = {
    "id",
    "study_id",
    "series_id",
    "number_of_series",
    "number_of_instances",
    "modalities",
    "received_pixel_bytes",
    "origin_id",
    "state",
    "row_digest",
}
_SEALED = {
    table.name: tuple(name for name in table.c.keys() if name not in _CHANGING)  # noqa: SIM118 - no dictionary
    for table in (schema.study, schema.series, schema.instance)
}


def seal(table: Table, values: Mapping[Any, Any], *place: str | int | None) -> bytes:
    """The digest of a row of study, series or instance; `place` is what its table's writer put there."""
    sealed = [*place, *(_sealed(name, values.get(name)) for name in _SEALED[table.name])]
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"), default=bytes.hex)
    return hashlib.sha256(text.encode()).digest()


def _sealed(name: str, value: Any) -> Any:
    is_plain = name == "certificate" and isinstance(value, bytes) and value.startswith(PLAIN)
    return unpack(value) if is_plain else value


def instance_is_intact(row: Mapping[Any, Any]) -> bool:
    """Of a row with the columns of instance, the UIDs above it and `header_reference_id`."""
    place = row["study_instance_uid"], row["series_instance_uid"], row["header_reference_id"]
    return bool(seal(schema.instance, row, *place) == row["row_digest"])


def study_is_intact(row: Mapping[Any, Any]) -> bool:
    """Of a row of study."""
    return bool(seal(schema.study, row) == row["row_digest"])


def series_is_intact(row: Mapping[Any, Any]) -> bool:
    """Of a row of series with its study's UID."""
    return bool(seal(schema.series, row, row["study_instance_uid"]) == row["row_digest"])
