"""Storage commitment: what is promised, what is not and why, and how the report reaches who asked."""

from __future__ import annotations

import queue
import socket
import sqlite3
import time
from contextlib import closing, contextmanager, suppress

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from mripacs.core.errors import StoreFullError
from mripacs.core.model import ReceivedObject
from mripacs.dimse import client, commitment, reporting
from mripacs.store.short_forms import pack_uid
from tests.e2e.node_process import NodeProcess, wait_until
from tests.e2e.objects import encoded, mr_object

PUSH = StorageCommitmentPushModel
TIMEOUT_S = 20
LOSSLESS = {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP"]}  # the shipped rules keep measurements without loss


class Requestor:
    """A storage commitment SCU: `reports` are (event type, information) as they come, on whichever association.

    They are told once their answer has left: a release or request of the test's own thread must not come between.
    """

    def __init__(self, title="ASKER"):
        self.title, self.reports, self.status = title, queue.Queue(), 0x0000
        self._answered = queue.Queue()
        self._handlers = [(evt.EVT_N_EVENT_REPORT, self.handle_report), (evt.EVT_PDU_SENT, self._tell)]

    def handle_report(self, event):
        self._answered.put((event.event_type, event.event_information))
        return self.status, None

    def _tell(self, event):
        if isinstance(event.pdu, P_DATA_TF):
            with suppress(queue.Empty):
                self.reports.put(self._answered.get_nowait())

    @contextmanager
    def associated(self, port):
        entity = AE(ae_title=self.title)
        for context in (PUSH, Verification):
            entity.add_requested_context(context)
        association = entity.associate("127.0.0.1", port, evt_handlers=self._handlers)
        assert association.is_established
        try:
            yield association
        finally:
            association.release()

    @contextmanager
    def listening(self, port=0, tls=None):
        """Its own server, for reports on a new association."""
        entity = AE(ae_title=self.title)
        entity.add_supported_context(PUSH, scu_role=True, scp_role=True)
        server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=self._handlers, ssl_context=tls)
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()

    def report(self):
        """Event type, committed UIDs and failure reasons by UID, of the next report."""
        event_type, information = self.reports.get(timeout=TIMEOUT_S)
        committed = {item.ReferencedSOPInstanceUID for item in information.get("ReferencedSOPSequence", [])}
        failed = {
            item.ReferencedSOPInstanceUID: item.FailureReason for item in information.get("FailedSOPSequence", [])
        }
        return event_type, committed, failed, information


def stored(archive, **changes):
    """The receipt of a fresh object."""
    dataset = mr_object(**changes)
    uids = (MRImageStorage, dataset.SOPInstanceUID)
    return archive.store(ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, *uids, "test"))


def request(*references):
    information = Dataset()
    information.TransactionUID = generate_uid()
    information.ReferencedSOPSequence = Sequence()
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        information.ReferencedSOPSequence.append(item)
    return information


def ask(association, information, action=1, instance=commitment.SOP_INSTANCE):
    status, _ = association.send_n_action(information, action, PUSH, instance)
    return status.Status


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def damage(folder, uid):
    """Flip a bit of the payload of an instance behind the node's back."""
    with closing(sqlite3.connect(folder / "archive" / "mripacs.db")) as database, database:
        (row, data), = database.execute(
            "SELECT payload.instance_id, data FROM payload JOIN instance_uid USING (instance_id) WHERE uid = ?",
            (pack_uid(uid),),
        )  # fmt: skip
        flipped = bytes([data[0] ^ 1]) + data[1:]
        database.execute("UPDATE payload SET data = ? WHERE instance_id = ?", (flipped, row))


def test_what_is_promised(serve, tmp_path):
    server, archive = serve()
    lossless, lossy, broken = (
        stored(archive, **LOSSLESS),
        stored(archive),
        stored(archive, **LOSSLESS),
    )
    assert lossy.sop_instance_uid != lossy.original_sop_instance_uid
    damage(tmp_path, broken.sop_instance_uid)
    unknown, requestor = generate_uid(), Requestor()
    information = request(
        (MRImageStorage, lossless.sop_instance_uid),
        (MRImageStorage, lossy.sop_instance_uid),
        (MRImageStorage, lossy.original_sop_instance_uid),
        (MRImageStorage, broken.sop_instance_uid),
        (MRImageStorage, unknown),
    )
    with requestor.associated(server.port) as association:
        assert ask(association, information) == 0x0000
        event_type, committed, failed, report = requestor.report()
        assert event_type == commitment.FAILURES_EXIST
        assert committed == {lossless.sop_instance_uid, lossy.sop_instance_uid}
        assert failed == {
            lossy.original_sop_instance_uid: 0x0110,  # it cannot be given back
            broken.sop_instance_uid: 0x0110,
            unknown: 0x0112,
        }
        assert report.TransactionUID == information.TransactionUID
        assert report.RetrieveAETitle == "MRIPACS"
        assert ask(association, request((CTImageStorage, lossless.sop_instance_uid))) == 0x0000
        assert requestor.report()[2] == {lossless.sop_instance_uid: 0x0119}
        assert ask(association, request((MRImageStorage, lossless.sop_instance_uid))) == 0x0000
        event_type, committed, failed, report = requestor.report()
        assert (event_type, failed) == (commitment.COMMITTED, {})
        assert "FailedSOPSequence" not in report


def test_a_kept_identity_is_no_promise(serve):
    """With identity = "keep" the lossy instance has the original's UID, and that is what the sender would delete."""
    server, archive = serve(archive={"identity": "keep"})
    receipt, requestor = stored(archive), Requestor()
    assert receipt.certificate.lossy
    assert receipt.sop_instance_uid == receipt.original_sop_instance_uid
    with requestor.associated(server.port) as association:
        ask(association, request((MRImageStorage, receipt.sop_instance_uid)))
        assert requestor.report()[2] == {receipt.sop_instance_uid: 0x0110}


def test_the_report_comes_beside_other_messages(serve):
    """The association is used for something else while the report is under way, and lives."""
    server, archive = serve()
    receipts = [stored(archive, **LOSSLESS) for _ in range(3)]
    requestor = Requestor()
    with requestor.associated(server.port) as association:
        for receipt in receipts:
            assert ask(association, request((MRImageStorage, receipt.sop_instance_uid))) == 0x0000
        deadline = time.monotonic() + TIMEOUT_S
        echoes = 0
        while requestor.reports.qsize() < 3 and time.monotonic() < deadline:
            assert association.send_c_echo().Status == 0x0000
            echoes += 1
        assert {requestor.report()[1].pop() for _ in receipts} == {receipt.sop_instance_uid for receipt in receipts}
        assert echoes > 3
        assert association.is_established


def test_the_report_follows_who_has_left(serve):
    requestor = Requestor()
    with requestor.listening() as port:
        server, archive = serve(dimse={"destinations": {"ASKER": {"host": "127.0.0.1", "port": port}}})
        receipt = stored(archive, **LOSSLESS)
        with requestor.associated(server.port) as association:
            ask(association, request((MRImageStorage, receipt.sop_instance_uid)))
        event_type, committed, _, _ = requestor.report()
        assert (event_type, committed) == (commitment.COMMITTED, {receipt.sop_instance_uid})


def test_a_report_that_cannot_be_delivered_is_tried_again(serve, monkeypatch):
    monkeypatch.setattr(reporting.CommitmentProvider.__init__, "__defaults__", ((0.5,) * 10,))
    requestor, port = Requestor(), free_port()
    server, archive = serve(dimse={"destinations": {"ASKER": {"host": "127.0.0.1", "port": port}}})
    receipt = stored(archive, **LOSSLESS)
    with requestor.associated(server.port) as association:
        ask(association, request((MRImageStorage, receipt.sop_instance_uid)))
    time.sleep(1.5)  # at least one attempt fails
    assert requestor.reports.empty()
    with requestor.listening(port):
        assert requestor.report()[1] == {receipt.sop_instance_uid}


def destinations(port):
    return f'[dimse.destinations.ASKER]\nhost = "127.0.0.1"\nport = {port}\n'


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_report_survives_the_end_of_the_node(tmp_path, end):
    """Acknowledged while nobody takes the report; the node ends, starts again, and reports."""
    requestor, port = Requestor(), free_port()
    node = NodeProcess(tmp_path, config=destinations(port), workers=0).start()
    try:
        dataset = mr_object(**LOSSLESS)
        item = ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, MRImageStorage, dataset.SOPInstanceUID, "test")
        assert [result.status for result in client.send(client.Peer("127.0.0.1", node.port), [item])] == [0]
        information = request((MRImageStorage, dataset.SOPInstanceUID))
        with requestor.associated(node.port) as association:
            assert ask(association, information) == 0x0000
        wait_until(lambda: "is not reported yet" in node.log, TIMEOUT_S, "a failed report")
        time.sleep(0.5)  # until the next attempt is written down
        getattr(node, end)()
        with requestor.listening(port):
            node.start()
            event_type, committed, _, report = requestor.report()
            assert (event_type, committed) == (commitment.COMMITTED, {dataset.SOPInstanceUID})
            assert report.TransactionUID == information.TransactionUID
            wait_until(lambda: node.row_counts()["commitment"] == 0, TIMEOUT_S, "the end of the request's row")
    finally:
        node.stop()


def test_a_request_that_cannot_be_written_down_is_refused(serve, monkeypatch):
    server, archive = serve()
    receipt, requestor = stored(archive, **LOSSLESS), Requestor()

    def full(*_):
        raise StoreFullError("no space")

    with requestor.associated(server.port) as association:
        with monkeypatch.context() as patched:
            patched.setattr(archive.commitments, "add", full)
            assert ask(association, request((MRImageStorage, receipt.sop_instance_uid))) == 0x0110
            patched.setattr(archive.commitments, "add", lambda *_: None)
            assert ask(association, request((MRImageStorage, receipt.sop_instance_uid))) == 0x0213
        assert ask(association, request((MRImageStorage, receipt.sop_instance_uid))) == 0x0000
        assert requestor.report()[1] == {receipt.sop_instance_uid}


def test_who_is_no_destination_gets_no_call(serve, caplog):
    server, archive = serve()
    receipt, requestor = stored(archive, **LOSSLESS), Requestor("NOBODY")
    with requestor.associated(server.port) as association:
        ask(association, request((MRImageStorage, receipt.sop_instance_uid)))
    deadline = time.monotonic() + TIMEOUT_S
    while "no known destination" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"TransactionUID": None}, 0x0115),
        ({"ReferencedSOPSequence": None}, 0x0115),
        ({"ReferencedSOPSequence": []}, 0x0115),
        ({"ReferencedSOPSequence": [Dataset()]}, 0x0115),
    ],
)
def test_requests_that_lack_something(serve, change, status):
    server, _ = serve()
    information = request((MRImageStorage, "1.2.3"))
    for keyword, value in change.items():
        if value is None:
            delattr(information, keyword)
        else:
            setattr(information, keyword, value)
    with Requestor().associated(server.port) as association:
        assert ask(association, information) == status
        assert ask(association, request((MRImageStorage, "1.2.3")), action=2) == 0x0123
        assert ask(association, request((MRImageStorage, "1.2.3")), instance="1.2.3") == 0x0112
        assert association.send_c_echo().Status == 0x0000
