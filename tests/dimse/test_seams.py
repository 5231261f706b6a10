"""The places in pynetdicom that mripacs takes hold of: a version that moves one must fail here, not in a hospital."""

from __future__ import annotations

import inspect

import pynetdicom.association as association_module
import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE, evt, sop_class
from pynetdicom.association import Association
from pynetdicom.service_class import QueryRetrieveServiceClass

from mripacs.dimse import move_check, negotiation, raw_send


def source_of(thing):
    return inspect.getsource(thing)


def test_send_c_store_asks_its_module_for_encode():
    plain = raw_send._plain_send_c_store
    assert plain.__module__ == "pynetdicom.association"
    assert "encode(" in source_of(plain)
    assert plain.__globals__ is vars(association_module)
    assert list(inspect.signature(plain).parameters)[:2] == ["self", "dataset"]


def test_sub_operations_go_through_send_c_store():
    for provider in (QueryRetrieveServiceClass._get_scp, move_check._plain_move_scp):
        assert ".send_c_store(" in source_of(provider)


def test_move_provider_is_called_with_a_request_and_a_context():
    assert list(inspect.signature(move_check._plain_move_scp).parameters) == ["self", "req", "context"]
    assert "_move_scp(" in source_of(QueryRetrieveServiceClass.SCP)


def test_installing_twice_changes_nothing():
    for _ in range(2):
        raw_send.install()
        move_check.install()
    assert association_module.encode is raw_send._encode
    assert Association.send_c_store is raw_send._send_c_store
    assert QueryRetrieveServiceClass._move_scp is move_check._move_scp
    assert raw_send._plain_encode is not raw_send._encode


def test_storage_classes_are_listed():
    assert str(MRImageStorage) in negotiation.STORAGE_CLASSES
    assert len(negotiation.STORAGE_CLASSES) > 120
    assert set(negotiation.STORAGE_CLASSES) <= {str(uid) for uid in sop_class._STORAGE_CLASSES.values()}


@pytest.fixture
def requested():
    """Contexts that a server supports only because its EVT_REQUESTED handler added them in time."""
    entity = AE()
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_REQUESTED, negotiation.accept_storage_contexts)]
    )
    yield server.server_address[1]
    server.shutdown()


@pytest.mark.parametrize("uid", [str(MRImageStorage), "1.3.12.2.1107.5.9.1"])
def test_contexts_added_on_request_are_negotiated(requested, uid):
    requestor = AE()
    requestor.add_requested_context(uid, "1.2.840.10008.1.2.4.90")
    requestor.add_requested_context("1.2.840.10008.5.1.4.31")  # worklist: not ours
    association = requestor.associate("127.0.0.1", requested)
    try:
        assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [uid]
    finally:
        association.release()
