"""What `mripacs admin verify --repair` does to rows: derive counts anew, drop what belongs to nothing, quarantine.

Nothing is ever made to match its digest again: a row or a blob that does not match is damaged, and stays so until its
instance is deleted or sent again.
"""

from __future__ import annotations

from sqlalchemy import Connection, Delete, delete, insert, or_, select, update

from mripacs.store import name_parts, references, schema
from mripacs.store.checks import CANNOT_BE_FOUND
from mripacs.store.deleting import EMPTY_SERIES
from mripacs.store.locks import own_studies
from mripacs.store.reading import INDEX_ROWS
from mripacs.store.seals import instance_is_intact, study_is_intact
from mripacs.store.tallies import recount

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c
_header, _payload, _uid, _reference = (
    table.c for table in (schema.header, schema.payload, schema.instance_uid, schema.header_reference)
)
_instances = select(_instance.id)

# Names of what may be left over, and how it goes. Series before studies.
_ORPHANS: tuple[tuple[str, Delete], ...] = (
    ("payloads without an instance", delete(schema.payload).where(_payload.instance_id.not_in(_instances))),
    ("headers without an instance", delete(schema.header).where(_header.instance_id.not_in(_instances))),
    (
        "UIDs that are none of their instance",
        delete(schema.instance_uid).where(
            ~select(_instance.id)
            .where(
                _instance.id == _uid.instance_id,
                or_(_instance.sop_instance_uid == _uid.uid, _instance.original_sop_instance_uid == _uid.uid),
            )
            .exists()
        ),
    ),
    (
        "header references that no header needs",
        delete(schema.header_reference).where(references.UNUSED),
    ),
    (
        "series without instances",
        delete(schema.series).where(*EMPTY_SERIES),
    ),
    (
        "studies without series",
        delete(schema.study).where(~select(_series.id).where(_series.study_id == _study.id).exists()),
    ),
)


def drop_orphans(connection: Connection) -> list[str]:
    """Delete rows that belong to nothing, and say what they were."""
    references.free_unused(connection)
    dropped = [(connection.execute(drop).rowcount, what) for what, drop in _ORPHANS]
    return [f"{count} {what} dropped" for count, what in dropped if count]


def restore_uids(connection: Connection) -> list[str]:
    """Lead the UIDs of instances to them again where their own row is intact; says which."""
    restored = []
    for row in connection.execute(INDEX_ROWS.where(CANNOT_BE_FOUND)).mappings().all():
        own = {row["sop_instance_uid"], row["original_sop_instance_uid"] or row["sop_instance_uid"]}
        taken = set(connection.execute(select(_uid.uid).where(_uid.uid.in_(own))).scalars())
        if instance_is_intact(row) and (missing := sorted(own - taken)):
            connection.execute(insert(schema.instance_uid), [{"uid": uid, "instance_id": row["id"]} for uid in missing])
            restored += [f"{row['sop_instance_uid']} can be found by {uid} again" for uid in missing]
    return restored


def restore_name_parts(connection: Connection) -> list[str]:
    """Write the parts of patients' names anew where they are not those of an intact study's row; says which."""
    parts: dict[int, set[str]] = {}
    for part, study_id in connection.execute(select(schema.name_part.c.part, schema.name_part.c.study_id)):
        parts.setdefault(study_id, set()).add(part)
    rows = connection.execute(select(schema.study)).mappings().all()
    wrong = [row for row in rows if study_is_intact(row) and parts.get(row["id"], set()) != name_parts.parts_of(row)]
    gone = parts.keys() - {row["id"] for row in rows}
    if wrong or gone:
        name_parts.drop(connection, [*gone, *(row["id"] for row in wrong)])
    for row in wrong:
        name_parts.write(connection, row["id"], row)
    return [f"study {row['study_instance_uid']} can be found by its patient's name again" for row in wrong]


def studies(connection: Connection) -> list[tuple[int, str]]:
    """Row numbers and UIDs of all studies."""
    rows = connection.execute(select(_study.id, _study.study_instance_uid))
    return [(row.id, row.study_instance_uid) for row in rows]


def recount_study(connection: Connection, study_id: int, study_uid: str) -> None:
    """Derive the study's counts and modalities anew."""
    own_studies(connection, [study_uid])
    recount(connection, [study_id])


def quarantine(connection: Connection, uid: str) -> bool:
    """Stop giving out an instance; False when it was in quarantine already or is not there."""
    named = select(_uid.instance_id).where(_uid.uid == uid).scalar_subquery()
    stored = or_(_instance.id == named, _instance.sop_instance_uid == uid), _instance.state == schema.STORED
    changed = connection.execute(update(schema.instance).where(*stored).values(state=schema.QUARANTINED))
    return changed.rowcount > 0
