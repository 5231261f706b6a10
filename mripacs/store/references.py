"""Header references that lean on another one of their study: which they may lean on, and what a deletion does to them.

Headers of a study's series share what the scanner, the patient and the visit put into each: against another reference
of the study, one takes a tenth of what it takes alone (66 KB of a Canon: 17 KB alone, 1.2 KB; 9 KB of a Philips: 3.6
and 0.5). A base stands alone itself, so two rows at most are read for a header, and nothing leans across studies: a
deleted study leaves nothing behind. Damage of a base hits every series that leans on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, bindparam, or_, select, update

from mripacs.store import schema
from mripacs.store.headers import Reference, digest, make_reference, pack_alone, unpack

MOST_BASES = 4  # of a study and transfer syntax, the newest; all are tried, at 0.1 to 1 ms each
WORTH_RATIO = 0.5  # of what the reference takes alone: beyond, damage of one part would hit another for little

_reference, _header = schema.header_reference.c, schema.header.c
_BASES = (
    select(_reference.id)
    .join(schema.series, _reference.series_id == schema.series.c.id)
    .join(schema.study, schema.series.c.study_id == schema.study.c.id)
    .where(
        schema.study.c.study_instance_uid == bindparam("study"),
        _reference.transfer_syntax == bindparam("syntax"),
        _reference.base_id.is_(None),
    )
    .order_by(_reference.id.desc())
    .limit(MOST_BASES)
)
_ROW = select(schema.header_reference).where(_reference.id == bindparam("row"))
_leaning = schema.header_reference.alias("leaning")
UNUSED = ~select(_header.instance_id).where(_header.reference_id == _reference.id).exists()
_IS_NEEDED = select(_header.instance_id).where(_header.reference_id == _leaning.c.id).exists()
_LEANING_ON_UNUSED = (
    select(_leaning.c.id).join(schema.header_reference, _reference.id == _leaning.c.base_id).where(UNUSED)
)


def bases_of(connection: Connection, study_uid: str, transfer_syntax: str) -> list[int]:
    """Rows of the references that a new one of the study may lean on, newest first."""
    return list(connection.execute(_BASES, {"study": study_uid, "syntax": transfer_syntax}).scalars())


def seal_of(data: bytes, raw: bytes, base: Reference | None) -> bytes:
    """The digest of a reference's row: one that leans on a base is only right with the right base."""
    return digest(data) if base is None else digest(data + raw)


def read(connection: Connection, row_id: int) -> bytes:
    """The raw header of a reference's row; ValueError when it, or what it leans on, is missing or damaged."""
    row = connection.execute(_ROW, {"row": row_id}).first()
    if row is None:
        raise ValueError("is missing")
    if row.base_id is None:
        return _unpacked(row, None)
    base = connection.execute(_ROW, {"row": row.base_id}).first()
    if base is None or base.base_id is not None:
        raise ValueError(f"leans on header reference {row.base_id}, which does not stand alone")
    try:
        raw = _unpacked(base, None)
    except ValueError as error:
        raise ValueError(f"leans on header reference {row.base_id}, which {error}") from error
    return _unpacked(row, make_reference(raw, row.base_id))


def _unpacked(row: Row[tuple[object, ...]], base: Reference | None) -> bytes:
    if base is None and digest(row.data) != row.digest:
        raise ValueError("does not match its digest")
    raw = unpack(row.data, row.raw_length, base)
    if base is not None and seal_of(row.data, raw, base) != row.digest:
        raise ValueError("does not match its digest")
    return raw


def free_unused(connection: Connection, series_ids: Sequence[int] | None = None) -> None:
    """Let references that stay stand alone where they lean on one that no header needs, which is to go.

    series_ids : where the unused ones are; None: anywhere. One that cannot be unpacked leans on nothing afterwards, and
    is found damaged as before.
    """
    if series_ids is None:
        among = _LEANING_ON_UNUSED.where(_IS_NEEDED)
    else:
        stays = or_(_IS_NEEDED, _leaning.c.series_id.not_in(series_ids))
        among = _LEANING_ON_UNUSED.where(_reference.series_id.in_(series_ids), stays)
    for row_id in connection.execute(among).scalars().all():
        try:
            data = pack_alone(read(connection, row_id))
            alone = {"base_id": None, "data": data, "digest": digest(data)}
        except ValueError:
            alone = {"base_id": None}
        connection.execute(update(schema.header_reference).where(_reference.id == row_id).values(alone))
