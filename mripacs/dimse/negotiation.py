"""What is accepted when a peer asks for an association.

Storage classes are accepted as they are proposed instead of being listed beforehand: pynetdicom copies the list of
supported contexts for every association, which takes 99 ms with all storage classes and syntaxes (26 ms of it for the
contexts alone), and a list never holds a vendor's private storage classes.
"""

from __future__ import annotations

import logging
from typing import Any

from pynetdicom import build_context, evt
from pynetdicom import sop_class as sop_classes
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES, STORAGE_SYNTAXES
from mripacs.dimse.known_answers import known_answer

log = logging.getLogger(__name__)

SERVICES = (
    Verification,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
)
QUERY_SYNTAXES = list(NATIVE_SYNTAXES)
STORAGE_CLASSES = tuple(str(uid) for uid in sop_classes._STORAGE_CLASSES.values())
_STORAGE_UIDS = frozenset(STORAGE_CLASSES)
DICOM_ROOT = "1.2.840.10008."  # UIDs under it are the standard's own; all others are private (PS3.5 9)


def is_storage_class(abstract_syntax: str) -> bool:
    """Whether an abstract syntax is a storage class: a known one, or a private UID (vendors use them for storage).

    How messages of private ones find the storage service is in `service_classes`.
    """
    return abstract_syntax in _STORAGE_UIDS or not abstract_syntax.startswith(DICOM_ROOT)


def accept_storage_contexts(event: evt.Event) -> None:
    """On EVT_REQUESTED: support exactly the storage contexts that the peer proposes, in both roles (C-GET needs SCU).

    Transfer syntaxes outside STORAGE_SYNTAXES stay unsupported, so such a context is rejected, not the association.
    Nothing is to be done for a request whose answer is known, nor for one that a handler before this one refused:
    pynetdicom calls them all.
    """
    association = event.assoc
    if association.is_rejected or association.is_aborted or known_answer(association) is not None:
        return
    acceptor = association.acceptor
    supported = {context.abstract_syntax: context for context in acceptor.supported_contexts}
    for proposed in association.requestor.primitive.presentation_context_definition_list:
        uid = proposed.abstract_syntax
        if uid in supported or not is_storage_class(uid):
            continue
        context = build_context(uid, list(STORAGE_SYNTAXES))
        context.scu_role = True
        context.scp_role = True
        supported[uid] = context
    acceptor.supported_contexts = list(supported.values())


def accept_relational_queries(event: evt.Event) -> dict[str, bytes]:
    """On EVT_SOP_EXTENDED: relational queries are supported wherever they are asked for (PS3.4 C.5.1.1)."""
    finds = {PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind}
    return {
        uid: b"\x01" + b"\x00" * (len(info) - 1)
        for uid, info in event.app_info.items()
        if uid in finds and info[:1] == b"\x01"
    }


def accept_echo(_: Any) -> int:
    """C-ECHO: success."""
    return 0x0000
