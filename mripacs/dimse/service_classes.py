"""Private SOP classes as storage, without a word of what peers propose in pynetdicom's tables.

pynetdicom finds the service of a message by its SOP class, in tables of its module; `register_uid`, its only way to add
one, keeps it as long as the process lives and looks through all of them for each message. Whoever may connect could
grow them, 128 UIDs a request. Here a UID that its tables do not know is judged by itself. The seam is the name
`uid_to_service_class` in the association module; `tests/dimse/test_service_classes.py` says when it moves.
"""

from __future__ import annotations

import pynetdicom.association as association_module
from pynetdicom.service_class import ServiceClass, StorageServiceClass

from mripacs.dimse.negotiation import is_storage_class

_plain_service_class = association_module.uid_to_service_class


def _service_class(uid: str) -> type[ServiceClass]:
    """The service of a SOP class; what its entity registered for another service keeps that."""
    known: type[ServiceClass] = _plain_service_class(uid)
    is_storage = known is ServiceClass and bool(uid) and is_storage_class(uid)
    return StorageServiceClass if is_storage else known


def install() -> None:
    """Put it in place; calling it again changes nothing."""
    association_module.uid_to_service_class = _service_class
