"""Private classes are stored without pynetdicom's tables; what peers propose leaves nothing there."""

from __future__ import annotations

import inspect
import threading

import pynetdicom.association as association_module
import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import evt, sop_class
from pynetdicom.association import Association
from pynetdicom.service_class import BasicWorklistManagementServiceClass, ServiceClass, StorageServiceClass
from pynetdicom.sop_class import Verification

from mripacs.cli.node_bench import command_set as fields
from mripacs.core.errors import PeerError
from mripacs.core.settings import DimseSettings
from mripacs.dimse import service_classes
from mripacs.dimse.access import AccessControl
from mripacs.dimse.connections import Connections
from mripacs.dimse.negotiation import accept_storage_contexts
from mripacs.dimse.pace import Rate
from tests.dimse.test_upper_layer import listening, raw, until

PRIVATE = "1.2.3.4.5.6.7.8.9.1"


@pytest.fixture(autouse=True)
def installed():
    for _ in range(2):
        service_classes.install()
    assert service_classes._plain_service_class is sop_class.uid_to_service_class


def known():
    """How much pynetdicom's module knows."""
    tables = [len(table) for table in vars(sop_class).values() if isinstance(table, dict)]
    return len(vars(sop_class)), tables


@pytest.mark.parametrize(
    ("uid", "service"),
    [
        (PRIVATE, StorageServiceClass),
        (str(MRImageStorage), StorageServiceClass),
        (str(Verification), sop_class.VerificationServiceClass),
        ("1.2.840.10008.5.1.4.999", ServiceClass),
        ("", ServiceClass),
    ],
)
def test_the_service_of_a_class(uid, service):
    assert association_module.uid_to_service_class(uid) is service


def test_what_was_registered_for_another_service_keeps_that(monkeypatch):
    monkeypatch.setitem(sop_class._BASIC_WORKLIST_CLASSES, "PrivateWorklist", PRIVATE)
    assert association_module.uid_to_service_class(PRIVATE) is BasicWorklistManagementServiceClass


def store_command(uid):
    return fields.encode_command(
        {
            fields.AFFECTED_SOP_CLASS: uid,
            fields.COMMAND_FIELD: fields.C_STORE_RQ,
            fields.MESSAGE_ID: 1,
            fields.PRIORITY: 2,
            fields.DATASET_TYPE: 1,
            fields.AFFECTED_SOP_INSTANCE: "1.2.3",
        }
    )


def test_a_private_class_is_stored_and_leaves_nothing():
    stored = []
    handlers = [
        (evt.EVT_REQUESTED, accept_storage_contexts),
        (evt.EVT_C_STORE, lambda event: stored.append(event.request.AffectedSOPClassUID) or 0),
    ]
    before = known()
    with listening(handlers) as (port, _), raw(port, PRIVATE) as association:
        association.send(association.message(association.context(PRIVATE), store_command(PRIVATE), bytes(20)))
        assert fields.number_of(association.receive().command, fields.STATUS) == 0
    assert stored == [PRIVATE]
    assert known() == before


def test_what_a_rejected_peer_proposes_leaves_nothing(caplog):
    """The handlers after that which rejected are called all the same."""
    access = AccessControl(DimseSettings(calling_ae_titles=("FRIEND",)), Connections(), Rate(0))
    requested = [(evt.EVT_REQUESTED, handler) for handler in (access.handle_request, accept_storage_contexts)]
    before = known()
    with listening(requested) as (port, _), pytest.raises(PeerError):
        raw(port, *(f"{PRIVATE}.{number}" for number in range(100)))
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "association"])
    assert known() == before
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # of the rejection


def test_the_association_module_looks_the_service_up_by_its_name():
    source = inspect.getsource(Association._serve_request)
    assert "uid_to_service_class(class_uid)(self)" in source
    assert Association._serve_request.__globals__ is vars(association_module)


def test_pynetdicom_has_no_other_way():
    """When it finds the service of a private class by itself, or registers for one association: drop ours."""
    assert sop_class.uid_to_service_class(PRIVATE) is ServiceClass
    assert "globals()[keyword] = sop_class" in inspect.getsource(sop_class.register_uid)
