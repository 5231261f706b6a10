"""What `Store.add` and `Store.replace` answer, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from mripacs.core.errors import ObjectTooLargeError, StoreError, StoreUnavailableError
from mripacs.core.model import InstanceIdentity, NewInstance
from mripacs.store.headers import PackedHeader

MAX_BLOB_BYTES = 900_000_000  # SQLite takes rows of 10^9 bytes, PostgreSQL values of 2^30


@dataclass(frozen=True, slots=True)
class AddedInstance:
    """What `Store.add` wrote."""

    identity: InstanceIdentity
    payload_bytes: int
    header_bytes: int  # as stored, against its reference
    reference_bytes: int  # of a header reference that came with it, else 0


def require_rows_that_fit(new: NewInstance, header: PackedHeader) -> None:
    """Raise ObjectTooLargeError for what no row takes."""
    if max(len(header.data), len(new.payload or b"")) > MAX_BLOB_BYTES:
        raise ObjectTooLargeError(f"{new.sop_instance_uid} needs more than {MAX_BLOB_BYTES} bytes in one row")


def added(new: NewInstance, header: PackedHeader, received_at: str) -> AddedInstance:
    """The answer for an instance that was just written."""
    identity = InstanceIdentity(
        sop_class_uid=new.sop_class_uid,
        sop_instance_uid=new.sop_instance_uid,
        original_sop_instance_uid=new.original_sop_instance_uid,
        study_instance_uid=str(new.attributes.study["StudyInstanceUID"]),
        series_instance_uid=str(new.attributes.series["SeriesInstanceUID"]),
        transfer_syntax=new.transfer_syntax,
        certificate=new.certificate,
        payload_bytes=len(new.payload or b""),
        header_bytes=len(header.data),
        received_at=received_at,
    )
    return AddedInstance(
        identity, identity.payload_bytes, identity.header_bytes, reference_bytes=len(header.reference_data or b"")
    )


def refused(new: NewInstance, error: IntegrityError) -> StoreError:
    """A constraint that no other transaction can have had a part in: a defect."""
    return StoreError(f"the database refused instance {new.sop_instance_uid}: {type(error.orig).__name__}")


def always_late(new: NewInstance) -> StoreUnavailableError:
    """The error for an instance that lost against deletions each time."""
    return StoreUnavailableError(f"{new.sop_instance_uid}: its series is being deleted; it can be sent again")
