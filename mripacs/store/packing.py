"""Which references a new header is packed against, and when it becomes one."""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy import Connection

from mripacs.core.model import NewInstance
from mripacs.store import reading
from mripacs.store.headers import (
    MAX_REFERENCES,
    PackedHeader,
    Reference,
    ReferenceCache,
    is_poor,
    make_reference,
    may_refer,
    pack,
    pack_alone,
)

log = logging.getLogger(__name__)


def pack_header(connection: Connection, new: NewInstance, cache: ReferenceCache) -> PackedHeader:
    """The instance's header against the best reference of its series and transfer syntax, or against itself as a new
    one (its `reference.id` is None then) when there is none or all fit poorly."""
    if not may_refer(new.header):
        return PackedHeader(pack_alone(new.header), None)
    references = _references(connection, new, cache)
    if references:
        packed = pack(new.header, references)
        if len(references) >= MAX_REFERENCES or not is_poor(new.header, packed):
            return packed
    packed = pack(new.header, [make_reference(new.header)])
    return replace(packed, reference_data=pack_alone(new.header))  # here, since it takes longer than a transaction may


def _references(connection: Connection, new: NewInstance, cache: ReferenceCache) -> list[Reference]:
    study, series = new.attributes.study["StudyInstanceUID"], new.attributes.series["SeriesInstanceUID"]
    rows = reading.references_of(connection, str(study), str(series), new.transfer_syntax)
    found = (_usable(connection, row_id, cache) for row_id in rows[:MAX_REFERENCES])
    return [reference for reference in found if reference]


def _usable(connection: Connection, row_id: int, cache: ReferenceCache) -> Reference | None:
    """The reference, unless it is damaged: nothing new shall need it."""
    try:
        return cache.get(row_id, lambda wanted: reading.read_reference(connection, wanted))
    except ValueError as error:
        log.warning("header reference %d %s; new headers are packed without it", row_id, error)
        return None
