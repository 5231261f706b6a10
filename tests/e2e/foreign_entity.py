"""Somebody else's pynetdicom application entity with our handlers, and a C-GET to ask it."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GetModel

import mripacs


class Served:
    """An application entity that is not ours, with our handlers."""

    def __init__(self, archive):
        entity = AE(ae_title="RESEARCH")
        entity.add_supported_context("1.2.840.10008.1.1")
        entity.add_supported_context(GetModel)
        entity.add_supported_context("1.2.840.10008.5.1.4.1.2.2.1")
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=mripacs.evt_handlers(archive))

    def __enter__(self):
        return self._server.server_address[1]

    def __exit__(self, *_):
        self._server.shutdown()


def c_get(port, study_uid):
    """Final status and identifier of a C-GET of a study, and the UIDs that came."""
    received = []

    def store(event):
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_uid
    contexts = [build_context(GetModel), build_context(MRImageStorage)]
    roles = [build_role(MRImageStorage, scp_role=True)]
    association = AE().associate(
        "127.0.0.1", port, contexts=contexts, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        *_, (status, failed) = association.send_c_get(identifier, GetModel)
        return status, failed, received
    finally:
        association.release()
