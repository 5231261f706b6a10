"""Who did what: events in the database, and audit messages as a syslog receiver gets them, without patient data."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from contextlib import closing
from xml.etree import ElementTree

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as Move

from mripacs.archive import Archive
from mripacs.audit import trail
from mripacs.audit.message import AuditEvent, AuditRecord, Outcome, Participant, StudyContent, to_xml
from mripacs.audit.syslog import Syslog
from mripacs.audit.trail import AuditTrail
from mripacs.core.errors import PeerError, StoreUnavailableError
from mripacs.core.model import ReceivedObject
from mripacs.core.settings import load_settings
from mripacs.dimse import client, identifiers
from mripacs.dimse.client import Peer
from tests.e2e.node_process import run_mripacs
from tests.e2e.objects import encoded, mr_object
from tests.security.syslog_receiver import TIMEOUT_S, receiving

PATIENT = {"PatientName": "Secret^Patient", "PatientID": "SECRET-17"}


@pytest.fixture(params=["udp", "tcp"])
def audited(request, serve):
    """A node that tells a receiver, and the receiver."""
    with receiving(request.param) as receiver:
        log = {"syslog": receiver.address, "syslog_transport": request.param}
        server, _ = serve(log=log, dimse={"require_called_ae": True})
        yield Peer("127.0.0.1", server.port, calling_ae="SCANNER"), receiver


def send(peer, number=1, **changes):
    """Objects of one study, sent over one association; gives their data sets."""
    first = mr_object(**PATIENT, **changes)
    datasets = [first, *(mr_object(**PATIENT, StudyInstanceUID=first.StudyInstanceUID) for _ in range(number - 1))]
    items = [
        ReceivedObject(encoded(each), ExplicitVRLittleEndian, MRImageStorage, each.SOPInstanceUID, "test")
        for each in datasets
    ]
    assert all(result.status == 0 for result in client.send(peer, items))
    return datasets


def events(folder, kind):
    """(calling AE, called AE, UID, outcome, detail) of the events of a kind."""
    with closing(sqlite3.connect(folder / "archive" / "mripacs.db")) as database:
        return database.execute(
            "SELECT calling_ae, called_ae, uid, outcome, detail FROM audit WHERE kind = ?", (kind,)
        ).fetchall()


def wait_for_event(folder, kind):
    deadline = time.monotonic() + TIMEOUT_S
    while not (found := events(folder, kind)):
        assert time.monotonic() < deadline, kind
        time.sleep(0.02)
    return found


def test_stored_queried_fetched_rejected(audited, tmp_path):
    peer, receiver = audited
    datasets = send(peer, 3)
    study = datasets[0].StudyInstanceUID

    (stored,) = receiver.wait_for("DICOM Instances Transferred")
    identification = stored.find("EventIdentification")
    assert (identification.get("EventActionCode"), identification.get("EventOutcomeIndicator")) == ("C", "0")
    source, destination = stored.findall("ActiveParticipant")
    assert (source.get("UserID"), source.get("UserIsRequestor"), source.get("NetworkAccessPointID")) == (
        "SCANNER", "true", "127.0.0.1",
    )  # fmt: skip
    assert [who.find("RoleIDCode").get("csd-code") for who in (source, destination)] == ["110153", "110152"]
    assert (destination.get("AlternativeUserID"), destination.get("UserIsRequestor")) == ("AETITLES=MRIPACS", "false")
    (content,) = stored.findall("ParticipantObjectIdentification")
    assert content.get("ParticipantObjectID") == study
    sop_class = content.find("ParticipantObjectDescription/SOPClass")
    assert (sop_class.get("UID"), sop_class.get("NumberOfInstances")) == (MRImageStorage, "3")
    assert {item.get("UID") for item in sop_class} == {each.SOPInstanceUID for each in datasets}

    assert len(list(client.find(peer, "STUDY", {**PATIENT, "StudyInstanceUID": study}))) == 1
    (query,) = receiver.wait_for("Query")
    (model,) = query.findall("ParticipantObjectIdentification")
    assert model.get("ParticipantObjectID") == Find
    assert "PatientName" in query.find("EventIdentification/EventOutcomeDescription").text
    (event,) = wait_for_event(tmp_path, "query")
    assert event == (
        "SCANNER",
        "MRIPACS",
        "",
        "success",
        "STUDY by PatientID, PatientName, StudyInstanceUID: 1 matches",
    )

    client.get(peer, "STUDY", {"StudyInstanceUID": study}, [MRImageStorage], lambda _: None)
    sent = receiver.wait_for("DICOM Instances Transferred", 2)[1]
    assert sent.find("EventIdentification").get("EventActionCode") == "R"
    assert [who.get("UserID") for who in sent.findall("ActiveParticipant")] == ["MRIPACS", "SCANNER"]
    (event,) = wait_for_event(tmp_path, "fetch")
    assert event == ("SCANNER", "MRIPACS", study, "success", "3 of 3 sent")

    with pytest.raises(PeerError):
        client.echo(Peer(peer.host, peer.port, "OTHER", "INTRUDER"))
    (alert,) = receiver.wait_for("Security Alert")
    assert alert.find("EventIdentification").get("EventOutcomeIndicator") == "4"
    assert alert.find("ActiveParticipant").get("UserID") == "INTRUDER"

    assert not re.search("secret", " ".join(receiver.messages) + str(events(tmp_path, "query")), re.IGNORECASE)


def test_what_was_deleted_meanwhile_is_told(serve):
    with receiving("udp") as receiver:
        _, archive = serve()
        made = AuditTrail(archive, Syslog(receiver.address, "udp"))
        who = Participant("A", "127.0.0.1")
        made.record(AuditRecord(AuditEvent.INSTANCES_RECEIVED, Outcome.SUCCESS, who, who, who), ["1.2.3"])
        made.close()
        (message,) = receiver.wait_for("DICOM Instances Transferred")
    assert message.find(".//ParticipantObjectIdentification").get("ParticipantObjectID") == "unknown"
    assert message.find(".//Instance").get("UID") == "1.2.3"


def test_a_failed_move_says_so(serve, tmp_path):
    """The destination refuses every instance; who asked, who should have received, and how many did."""
    entity = AE()
    entity.add_supported_context(MRImageStorage)
    refusing = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0xA700)])
    with receiving("udp") as receiver:
        place = {"host": "127.0.0.1", "port": refusing.server_address[1]}
        server, _ = serve(log={"syslog": receiver.address}, dimse={"destinations": {"FULL": place}})
        (dataset,) = send(Peer("127.0.0.1", server.port), ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP"])
        asker = AE(ae_title="VIEWER")
        asker.add_requested_context(Move)
        association = asker.associate("127.0.0.1", server.port)
        request = identifiers.request_identifier("STUDY", {"StudyInstanceUID": dataset.StudyInstanceUID})
        try:
            *_, (status, _) = association.send_c_move(request, "FULL", Move)
        finally:
            association.release()
            refusing.shutdown()
        assert status.Status != 0
        moved = receiver.wait_for("DICOM Instances Transferred", 2)[1]
    assert [(who.get("UserID"), who.get("UserIsRequestor")) for who in moved.findall("ActiveParticipant")] == [
        ("MRIPACS", "false"), ("FULL", "false"), ("VIEWER", "true"),
    ]  # fmt: skip
    assert moved.find("EventIdentification").get("EventOutcomeIndicator") == "4"
    assert wait_for_event(tmp_path, "fetch") == [("VIEWER", "MRIPACS", "", "minor_failure", "0 of 1 sent to FULL")]


def test_without_syslog_only_the_database_knows(serve, tmp_path):
    server, _ = serve()
    peer = Peer("127.0.0.1", server.port)
    send(peer)
    list(client.find(peer, "STUDY", {"Modality": "MR"}))
    assert len(wait_for_event(tmp_path, "store")) == 1
    assert wait_for_event(tmp_path, "query")[0][0] == "MRIPACS-SCU"


def test_a_syslog_server_that_is_gone_holds_nobody_up(serve, caplog):
    with receiving("tcp") as receiver:
        address = receiver.address
    server, _ = serve(log={"syslog": address, "syslog_transport": "tcp"})
    peer = Peer("127.0.0.1", server.port)
    start = time.monotonic()
    send(peer)
    list(client.find(peer, "STUDY", {"Modality": "MR"}))
    assert time.monotonic() - start < 15
    deadline = time.monotonic() + TIMEOUT_S
    while "an audit record was not written" not in caplog.text:  # the first may go to the backlog of the dead socket
        assert time.monotonic() < deadline
        list(client.find(peer, "STUDY", {"Modality": "MR"}))
        time.sleep(0.3)


def test_tcp_survives_a_restart_of_the_receiver():
    with receiving("tcp") as receiver:
        syslog = Syslog(receiver.address, "tcp")
        syslog.send("first")
        syslog.close()
    with receiving("tcp") as receiver:
        syslog._address = ("127.0.0.1", int(receiver.address.rpartition(":")[2]))
        syslog.send("second")
        syslog.close()
        receiver.thread.join(TIMEOUT_S)
        assert receiver.messages[0].endswith("second")


def test_what_a_peer_sends_cannot_break_the_message():
    hostile = Participant('<&"\x00\x1b>\ud800', "127.0.0.1\r\n")
    study = StudyContent({"1.2": ["9." + "8" * 62] * 5000})
    record = AuditRecord(
        AuditEvent.INSTANCES_RECEIVED, Outcome.SUCCESS, hostile, hostile, hostile, {"<1.2>": study}, "1.2\n", "why\x07"
    )  # fmt: skip
    text = to_xml(record, "mripacs")
    assert len(text.encode()) < 32768
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    assert root.find("ActiveParticipant").get("UserID") == '<&"??>?'
    assert "\n" not in text


@pytest.mark.parametrize("address", ["nowhere", ":514", "a b:514", "host:"])
def test_wrong_addresses_are_refused(address):
    with pytest.raises(Exception, match=r"log\.syslog = .*allowed is host:port"):
        load_settings(flags={"log": {"syslog": address}}, environment={})


def test_start_and_stop_of_the_node(serve, tmp_path):
    with receiving("udp") as receiver:
        server, _ = serve(log={"syslog": receiver.address})
        (start,) = receiver.wait_for("Application Activity")
        server.stop()
        stop = receiver.wait_for("Application Activity", 2)[1]
    for message, code in ((start, "110120"), (stop, "110121")):
        identification = message.find("EventIdentification")
        assert identification.get("EventActionCode") == "E"
        assert identification.find("EventTypeCode").get("csd-code") == code
        (application,) = message.findall("ActiveParticipant")
        assert application.get("AlternativeUserID") == "AETITLES=MRIPACS"
        assert application.find("RoleIDCode").get("csd-code") == "110150"
    assert len(events(tmp_path, "start")) == len(events(tmp_path, "stop")) == 1


@pytest.mark.parametrize(
    ("what", "event"), [("study", "DICOM Study Deleted"), ("instance", "DICOM Instances Accessed")]
)
def test_a_deletion_by_command(serve, tmp_path, what, event):
    server, _ = serve()
    datasets = send(Peer("127.0.0.1", server.port), 2, ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP"])
    uid = {"study": datasets[0].StudyInstanceUID, "instance": datasets[1].SOPInstanceUID}[what]
    with receiving("udp") as receiver:
        config = tmp_path / "node.toml"
        config.write_text(f'[log]\nsyslog = "{receiver.address}"\n', encoding="utf-8")
        common = ("--config", config, "--directory", tmp_path / "archive", "admin", "delete", f"--{what}", uid)
        assert run_mripacs(*common, "--dry-run").returncode == 0
        done = run_mripacs(*common, "--yes")
        assert done.returncode == 0, done.stderr
        (message,) = receiver.wait_for(event)
    assert len(receiver.messages) == 1  # none of the dry run
    assert message.find("EventIdentification").get("EventActionCode") == "D"
    (who,) = message.findall("ActiveParticipant")
    assert (who.get("UserIsRequestor"), who.get("NetworkAccessPointTypeCode")) == ("true", "1")
    (study,) = message.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == datasets[0].StudyInstanceUID
    assert len(study.findall(".//Instance")) == {"study": 2, "instance": 1}[what]
    assert "Secret" not in receiver.messages[0]


def test_events_wait_for_a_database_that_is_gone(serve, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(trail, "RETRY_S", 0.2)
    server, archive = serve()
    wait_for_event(tmp_path, "start")
    plain = archive.record_all
    gone = threading.Event()

    def record_all(written):
        if not gone.is_set():
            raise StoreUnavailableError("the database is locked")
        plain(written)

    monkeypatch.setattr(archive, "record_all", record_all)
    for number in range(3):
        list(client.find(Peer("127.0.0.1", server.port), "STUDY", {"AccessionNumber": str(number)}))
    time.sleep(0.5)
    assert events(tmp_path, "query") == []
    gone.set()
    deadline = time.monotonic() + TIMEOUT_S
    while len(events(tmp_path, "query")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "lost" not in caplog.text


def test_a_viewer_that_scrolls_is_one_event(tmp_path):
    """Equal retrievals within a moment are one event and one message that names each instance once; others stay."""
    viewer, other, node = (Participant(name, "127.0.0.1") for name in ("VIEWER", "OTHER", "MRIPACS"))

    def sent(to, uid, study="1.2"):
        content = StudyContent({str(MRImageStorage): [uid]})
        return AuditRecord(AuditEvent.INSTANCES_SENT, Outcome.SUCCESS, node, to, to, {study: content}, description="it")

    records = [sent(viewer, "1.2.1"), sent(viewer, "1.2.2"), sent(other, "1.2.1"), sent(viewer, "1.3.1", "1.3")]
    records += [sent(viewer, "1.2.2"), AuditRecord(AuditEvent.QUERY, Outcome.SUCCESS, viewer, node, viewer)]
    together = trail.merged([*records, records[-1]])
    assert [(each.requestor, each.description) for each in together] == [
        (viewer, "it, 3 times"), (other, "it"), (viewer, "it"), (viewer, ""), (viewer, ""),
    ]  # fmt: skip
    assert together[0].studies == {"1.2": StudyContent({str(MRImageStorage): ["1.2.1", "1.2.2"]})}
    with Archive.open(tmp_path / "archive") as archive:
        written = AuditTrail(archive, None)
        for record in records:
            written.record(record)
        written.close()
    fetches = events(tmp_path, "fetch")
    assert sorted((event[0], event[2], event[4]) for event in fetches) == [
        ("OTHER", "1.2", "it"), ("VIEWER", "1.2", "it, 3 times"), ("VIEWER", "1.3", "it"),
    ]  # fmt: skip
