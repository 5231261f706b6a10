"""A reply is never taken by the reactor of the association that waits for it."""

from __future__ import annotations

import inspect
import queue
import threading
from types import SimpleNamespace

from pynetdicom import association as association_module
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider

from mripacs.dimse.replies import NOTHING, keep_replies


def association():
    checkpoint, messages = threading.Event(), queue.Queue()
    messages.put((1, "reply"))

    def get_msg(block=False):
        return messages.get(block=block)

    made = SimpleNamespace(_reactor_checkpoint=checkpoint, dimse=SimpleNamespace(get_msg=get_msg))
    keep_replies(SimpleNamespace(assoc=made))
    return made


def test_while_a_request_is_under_way_only_who_waits_gets_the_reply():
    made = association()
    assert made.dimse.get_msg(block=False) == NOTHING
    assert made.dimse.get_msg(block=True) == (1, "reply")


def test_between_requests_the_reactor_gets_what_the_peer_asks():
    made = association()
    made._reactor_checkpoint.set()
    assert made.dimse.get_msg(block=False) == (1, "reply")


def test_pynetdicom_has_these_seams():
    assert "self.dimse.get_msg(block=False)" in inspect.getsource(Association._run_reactor)
    # The method itself may be replaced by then (dimse.raw_send): pynetdicom's own is read from its file.
    send_c_store = inspect.getsource(association_module).partition("def send_c_store(")[2].partition("\n    def ")[0]
    assert "get_msg(block=True)" in send_c_store
    assert "_reactor_checkpoint.clear()" in send_c_store
    assert list(inspect.signature(DIMSEServiceProvider.get_msg).parameters) == ["self", "block"]
