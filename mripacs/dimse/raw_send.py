"""C-STORE of bytes as they are: lossless instances leave exactly as they were received.

pynetdicom sends Dataset objects, which it encodes anew: sequence lengths, group lengths and anything odd would change.
Its two seams used here are `Association.send_c_store` and the name `encode` in its association module; the tests fail
when a new version moves either. Objects that are not `RawInstance` pass through untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pynetdicom.association as association_module
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom.association import Association

from mripacs.core.model import Outgoing, ReceivedObject

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

    def fetch_for(self, association: Association) -> None:
        """Fetch in a transfer syntax accepted for this SOP class. Raises what fetching raises: the send then failed."""
        accepted = {
            str(context.transfer_syntax[0])
            for context in association.accepted_contexts
            if context.abstract_syntax == self.SOPClassUID and context.as_scu
        }
        outgoing = self._fetch(accepted)
        self.SOPInstanceUID = outgoing.sop_instance_uid
        self.file_meta = FileMetaDataset()
        self.file_meta.TransferSyntaxUID = UID(outgoing.transfer_syntax)
        object.__setattr__(self, "_encoded", outgoing.dataset)


def _send_c_store(self: Association, dataset: Any, *args: Any, **kwargs: Any) -> Dataset:
    if isinstance(dataset, RawInstance):
        dataset.fetch_for(self)
    status: Dataset = _plain_send_c_store(self, dataset, *args, **kwargs)
    if isinstance(dataset, RawInstance):
        object.__setattr__(dataset, "was_sent", status.get("Status") in SUCCESSES)
    return status


def _encode(dataset: Dataset, *args: Any, **kwargs: Any) -> bytes | None:
    raw = isinstance(dataset, RawInstance)
    encoded: bytes | None = dataset._encoded if raw else _plain_encode(dataset, *args, **kwargs)
    return encoded


def install() -> None:
    """Put both functions in place; calling it again changes nothing."""
    association_module.encode = _encode
    Association.send_c_store = _send_c_store
