"""Putting another payload of the same pixels in an instance's place."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from mripacs.core.model import ReceivedFrom
from mripacs.store import schema
from mripacs.store.certificates import with_first_payload
from mripacs.store.headers import digest
from mripacs.store.locks import share_study
from mripacs.store.reading import INDEX_ROWS
from mripacs.store.seals import instance_is_intact, seal
from mripacs.store.writing import write_event

_instance, _payload, _uid = schema.instance.c, schema.payload.c, schema.instance_uid.c


def replace_payload(connection: Connection, uid: str, expected: bytes, payload: bytes) -> bool:
    """Put `payload` in the place of `expected`, with its digest, the row's seal and an audit event.

    False, and nothing is written, when the instance has gone, is in quarantine, does not match its seal, or has another
    payload by now. The certificate keeps the bytes of the first payload: marks that were given out speak of them.
    """
    row = _row(connection, uid)
    if row is None or row["state"] != schema.STORED or not instance_is_intact(row):
        return False
    written = connection.execute(
        update(schema.payload)
        .where(_payload.instance_id == row["id"], _payload.digest == digest(expected))
        .values(digest=digest(payload), data=payload)
    )
    if not written.rowcount:
        return False
    certificate = with_first_payload(row["certificate"], row["payload_bytes"])
    changed: dict[str, Any] = {"payload_bytes": len(payload), "certificate": certificate}
    place = row["study_instance_uid"], row["series_instance_uid"], row["header_reference_id"]
    changed["row_digest"] = seal(schema.instance, {**row, **changed}, *place)
    connection.execute(update(schema.instance).where(_instance.id == row["id"]).values(changed))
    served, detail = row["sop_instance_uid"], f"{len(expected)} bytes became {len(payload)}"
    write_event(connection, "repack", ReceivedFrom("repack"), served, "stored", detail)
    return True


def _row(connection: Connection, uid: str) -> dict[str, Any] | None:
    """The index row of an instance, deletions from its study kept out until the transaction ends."""
    named = select(_uid.instance_id).where(_uid.uid == uid).scalar_subquery()
    statement = INDEX_ROWS.where(_instance.id == named)
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    share_study(connection, row["study_instance_uid"])
    row = connection.execute(statement.with_for_update(of=schema.instance)).mappings().first()
    return dict(row) if row else None
