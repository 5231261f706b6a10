"""C-STORE of bytes as they are: lossless instances leave exactly as they were received.

pynetdicom sends Dataset objects, which it encodes anew: sequence lengths, group lengths and anything odd would change.
Its two seams used here are `Association.send_c_store` and the name `encode` in its association module; the tests fail
when a new version moves either. Objects that are not `RawInstance` pass through untouched.

Over an association without threads (`direct`) a `RawInstance` does not pass pynetdicom at all: looking for the context,
checking UIDs by expressions, and the data set's way through two BytesIO took a third of a sub-operation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from io import BytesIO
from typing import Any

import pynetdicom.association as association_module
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from mripacs.core.model import Outgoing, ReceivedObject
from mripacs.dimse.direct import is_direct

LOW_PRIORITY = 2  # as pynetdicom asks for (PS3.7 9.1.1.1.6)

SUCCESSES = frozenset({0x0000, 0xB000, 0xB006, 0xB007})  # success, and the warnings of C-STORE (PS3.4 Table B.2-1)

_plain_encode = association_module.encode
_plain_send_c_store = Association.send_c_store


class RawInstance(Dataset):
    """Stands for an instance in pynetdicom's eyes; its bytes are fetched when an association is there to send them on.

    Holds only the SOP class and instance UID, which pynetdicom reports as failed when the fetch or the send fails.
    """

    def __init__(self, sop_class_uid: str, sop_instance_uid: str, fetch: Callable[[Collection[str]], Outgoing]) -> None:
        """fetch : gives the bytes in one of the transfer syntaxes that the peer accepted."""
        super().__init__()
        self.SOPClassUID = sop_class_uid
        self.SOPInstanceUID = sop_instance_uid
        object.__setattr__(self, "_fetch", fetch)
        object.__setattr__(self, "_encoded", b"")
        object.__setattr__(self, "was_sent", False)  # whether the receiver answered with success or a warning

    @classmethod
    def of(cls, item: ReceivedObject) -> RawInstance:
        """An object at hand, which goes out as it is or not at all."""
        outgoing = Outgoing(item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax, item.dataset)
        return cls(item.sop_class_uid, item.sop_instance_uid, lambda _accepted: outgoing)

    def fetched(self, accepted: Collection[str]) -> Outgoing:
        """The instance in one of the transfer syntaxes; its UID is the one that it is sent under from here."""
        outgoing: Outgoing = self._fetch(accepted)
        if outgoing.sop_instance_uid != self.SOPInstanceUID:
            self.SOPInstanceUID = outgoing.sop_instance_uid
        return outgoing

    def fetch_for(self, association: Association) -> None:
        """Fetch in a transfer syntax accepted for this SOP class. Raises what fetching raises: the send then failed."""
        outgoing = self.fetched(_accepted(association, self.SOPClassUID))
        self.file_meta = FileMetaDataset()
        self.file_meta.TransferSyntaxUID = UID(outgoing.transfer_syntax)
        object.__setattr__(self, "_encoded", outgoing.dataset)


def _send_c_store(self: Association, dataset: Any, *args: Any, **kwargs: Any) -> Dataset:
    if not isinstance(dataset, RawInstance):
        plain: Dataset = _plain_send_c_store(self, dataset, *args, **kwargs)
        return plain
    if is_direct(self):
        status = _sent_directly(self, dataset, *args, **kwargs)
    else:
        dataset.fetch_for(self)
        status = _plain_send_c_store(self, dataset, *args, **kwargs)
    object.__setattr__(dataset, "was_sent", status.get("Status") in SUCCESSES)
    return status


def _sent_directly(
    association: Any,
    instance: RawInstance,
    msg_id: int = 1,
    priority: int = LOW_PRIORITY,
    originator_aet: str | None = None,
    originator_id: int | None = None,
) -> Dataset:
    """What `send_c_store` documents, arguments, result and errors, for an instance at hand."""
    if not association.is_established:
        raise RuntimeError("the association has ended")
    outgoing = instance.fetched(_accepted(association, instance.SOPClassUID))
    contexts = _accepted(association, outgoing.sop_class_uid)
    if outgoing.transfer_syntax not in contexts:
        raise ValueError(f"{outgoing.sop_class_uid} in {outgoing.transfer_syntax} is not accepted")
    request = C_STORE()
    request.MessageID, request.Priority = msg_id, priority
    request._affected_sop_class_uid = UID(outgoing.sop_class_uid)  # checked when it was received
    request._affected_sop_instance_uid = UID(outgoing.sop_instance_uid)
    request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID = originator_aet, originator_id
    request.DataSet = BytesIO(outgoing.dataset)
    association.dimse.send_msg(request, contexts[outgoing.transfer_syntax])
    _, response = association.dimse.get_msg(block=True)
    if response is None:
        association._handle_no_response()
        return Dataset()
    status: Dataset = association._check_received_status(response)
    return status


def _accepted(association: Any, sop_class_uid: str) -> dict[str, int]:
    """Context IDs by the transfer syntaxes that were accepted for instances of a SOP class which we send."""
    return {
        str(context.transfer_syntax[0]): number
        for number, context in sorted(association._accepted_cx.items(), reverse=True)  # of two contexts the first
        if context.abstract_syntax == sop_class_uid and context.as_scu
    }


def _encode(dataset: Dataset, *args: Any, **kwargs: Any) -> bytes | None:
    raw = isinstance(dataset, RawInstance)
    encoded: bytes | None = dataset._encoded if raw else _plain_encode(dataset, *args, **kwargs)
    return encoded


def install() -> None:
    """Put both functions in place; calling it again changes nothing."""
    association_module.encode = _encode
    Association.send_c_store = _send_c_store
