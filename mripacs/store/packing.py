"""Which references a new header is packed against, and when it becomes one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from mripacs.core.model import NewInstance
from mripacs.store import reading, references
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
    size_alone,
)
from mripacs.store.references import WORTH_RATIO, bases_of

log = logging.getLogger(__name__)


def pack_header(connection: Connection, new: NewInstance, cache: ReferenceCache) -> PackedHeader:
    """The instance's header against the best reference of its series and transfer syntax, or against itself as a new
    one (its `reference.id` is None then) when there is none or all fit poorly."""
    if not may_refer(new.header):
        return PackedHeader(pack_alone(new.header), None)
    own = _references(connection, new, cache)
    if own:
        packed = pack(new.header, own)
        if len(own) >= MAX_REFERENCES or not is_poor(new.header, packed):
            return packed
    packed = pack(new.header, [make_reference(new.header)])
    # Here, since packed alone it takes longer than a transaction may.
    return lean(packed, _bases(connection, new, cache)) or replace(packed, reference_data=pack_alone(new.header))


def lean(packed: PackedHeader, bases: Sequence[Reference]) -> PackedHeader | None:
    """The header with its new reference packed against the best of the bases; None where none is worth it."""
    if packed.reference is None or not bases:
        return None
    raw = packed.reference.raw
    best = pack(raw, bases)
    if len(best.data) > WORTH_RATIO * size_alone(raw):
        return None
    return replace(packed, reference_data=best.data, base=best.reference)


def _bases(connection: Connection, new: NewInstance, cache: ReferenceCache) -> list[Reference]:
    rows = bases_of(connection, str(new.attributes.study["StudyInstanceUID"]), new.transfer_syntax)
    found = (_usable(connection, row_id, cache) for row_id in rows)
    return [reference for reference in found if reference]


def _references(connection: Connection, new: NewInstance, cache: ReferenceCache) -> list[Reference]:
    study, series = new.attributes.study["StudyInstanceUID"], new.attributes.series["SeriesInstanceUID"]
    rows = reading.references_of(connection, str(study), str(series), new.transfer_syntax)
    found = (_usable(connection, row_id, cache) for row_id in rows[:MAX_REFERENCES])
    return [reference for reference in found if reference]


def _usable(connection: Connection, row_id: int, cache: ReferenceCache) -> Reference | None:
    """The reference, unless it is damaged: nothing new shall need it."""
    try:
        return cache.get(row_id, lambda wanted: references.read(connection, wanted))
    except ValueError as error:
        log.warning("header reference %d %s; new headers are packed without it", row_id, error)
        return None
