"""TLS where the node calls: C-MOVE destinations, reports on storage commitment, the syslog server."""

from __future__ import annotations

import ssl
import subprocess
import time
from contextlib import contextmanager

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as Move

from mripacs.audit import syslog
from mripacs.audit.syslog import Syslog
from mripacs.core.errors import SettingsError
from mripacs.core.settings import TlsSettings, load_settings
from mripacs.dimse import commitment, identifiers
from mripacs.dimse.client import Peer
from mripacs.dimse.destinations import routes
from tests.e2e.dcmtk import free_port
from tests.e2e.node_process import wait_until
from tests.security.syslog_receiver import TIMEOUT_S, receiving
from tests.security.test_audit import send
from tests.security.test_commitment import LOSSLESS, Requestor, ask, request, stored


def server_side(identity, authority):
    """What a server wraps its sockets with that shows `identity` and wants a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def own(node_identity):
    """The node's `dimse.tls`: its certificate is the one that it shows."""
    return {"certificate": node_identity.certificate, "key": node_identity.key}


class Destination:
    """A storage SCP, with TLS or without; `received` are SOP Instance UIDs."""

    def __init__(self, tls):
        self.received = []
        entity = AE()
        entity.add_supported_context(MRImageStorage)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)

    def _store(self, event):
        self.received.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def settings(self, tls):
        """Its table among the node's destinations."""
        return {"host": "127.0.0.1", "port": self.server.server_address[1], "tls": tls}


@contextmanager
def destination(tls=None):
    made = Destination(tls)
    try:
        yield made
    finally:
        made.server.shutdown()


def moved(archive, port, title):
    """The final status of a C-MOVE of one fresh instance."""
    receipt = stored(archive, **LOSSLESS)
    entity = AE()
    entity.add_requested_context(Move)
    association = entity.associate("127.0.0.1", port)
    assert association.is_established
    keys = {"StudyInstanceUID": archive.identify(receipt.sop_instance_uid).study_instance_uid}
    try:
        *_, (status, _) = association.send_c_move(identifiers.request_identifier("STUDY", keys), title, Move)
    finally:
        association.release()
    return status.Status, receipt.sop_instance_uid


@pytest.fixture
def plain_node(serve, own):
    """`plain_node(VIEWER={...})`: a node without TLS at its own door that has a certificate to show."""

    def start(**destinations):
        tables = {
            title: {**table, "tls": table["tls"] and {**own, **table["tls"]}} for title, table in destinations.items()
        }
        return serve(dimse={"destinations": tables})

    return start


def test_a_move_to_a_destination_with_tls(plain_node, hospital, viewer):
    with destination(server_side(viewer, hospital)) as secure:
        server, archive = plain_node(VIEWER=secure.settings({"ca": hospital.certificate}))
        status, uid = moved(archive, server.port, "VIEWER")
    assert (status, secure.received) == (0x0000, [uid])


def test_a_move_shows_the_nodes_own_certificate(serve, own, hospital, viewer):
    with destination(server_side(viewer, hospital)) as secure:
        table = {"VIEWER": secure.settings({"ca": hospital.certificate})}
        _, archive = serve(dimse={"tls": own, "destinations": table})
        dimse = archive.settings.dimse
        (route,) = routes(dimse.destinations, dimse.tls).values()
        entity = AE()
        entity.add_requested_context(MRImageStorage)
        association = entity.associate(route.host, route.port, tls_args=route.tls_args)
        assert association.is_established  # the destination wants a certificate, and only dimse.tls names one
        association.release()


def test_dcmtk_as_destination(plain_node, hospital, viewer, require_program, tmp_path):
    port, folder = free_port(), tmp_path / "received"
    folder.mkdir()
    command = [
        require_program("storescp"), "-od", folder, "+tls", viewer.key, viewer.certificate, "+cf", hospital.certificate,
        "-v", port,
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
    try:
        table = {"host": "127.0.0.1", "port": port, "tls": {"ca": hospital.certificate}}
        server, archive = plain_node(STORESCP=table)
        wait_until(lambda: moved(archive, server.port, "STORESCP")[0] == 0, 20, "a move to storescp")
        assert list(folder.iterdir())
    finally:
        process.terminate()
        process.wait(10)


def test_nothing_leaves_without_the_tls_that_was_asked_for(plain_node, hospital, stranger, viewer):
    """To whom the node does not believe, and to who speaks no TLS: A801, and not one instance."""
    believer = server_side(stranger.identify("somebody"), hospital)
    with (
        destination(believer) as unknown,
        destination(None) as plain,
        destination(server_side(viewer, hospital)) as named,
    ):
        wrong_name = {**named.settings({"ca": hospital.certificate}), "host": "localhost"}
        no_name = {**named.settings({"ca": hospital.certificate, "check_name": False}), "host": "localhost"}
        server, archive = plain_node(
            UNKNOWN=unknown.settings({"ca": hospital.certificate}),
            PLAIN=plain.settings({"ca": hospital.certificate}),
            WRONG_NAME=wrong_name,
            NO_NAME=no_name,
        )
        for title in ("UNKNOWN", "PLAIN", "WRONG_NAME"):
            assert moved(archive, server.port, title)[0] == 0xA801, title
        assert moved(archive, server.port, "NO_NAME")[0] == 0x0000
        assert unknown.received == plain.received == []
        assert len(named.received) == 1


def test_a_commitment_report_over_tls(plain_node, hospital, viewer):
    requestor = Requestor()
    with requestor.listening(tls=server_side(viewer, hospital)) as port:
        server, archive = plain_node(ASKER={"host": "127.0.0.1", "port": port, "tls": {"ca": hospital.certificate}})
        receipt = stored(archive, **LOSSLESS)
        with requestor.associated(server.port) as association:
            ask(association, request((MRImageStorage, receipt.sop_instance_uid)))
        event_type, committed, _, _ = requestor.report()
    assert (event_type, committed) == (commitment.COMMITTED, {receipt.sop_instance_uid})


# --- syslog ----------------------------------------------------------------------------------------------------------


def test_audit_messages_over_tls(serve, own, hospital, viewer):
    with receiving("tls", server_side(viewer, hospital)) as receiver:
        tls = {**own, "ca": hospital.certificate}
        server, _ = serve(log={"syslog": receiver.address, "syslog_transport": "tls", "syslog_tls": tls})
        send(Peer("127.0.0.1", server.port))
        assert receiver.wait_for("DICOM Instances Transferred")


def test_no_audit_message_to_who_is_not_believed(serve, stranger, hospital, caplog, monkeypatch):
    monkeypatch.setattr(syslog, "TIMEOUT_S", 1.0)  # of the second attempt, which meets a receiver that has gone
    with receiving("tls", server_side(stranger.identify("syslog"), hospital)) as receiver:
        log = {"syslog": receiver.address, "syslog_transport": "tls", "syslog_tls": {"ca": hospital.certificate}}
        server, _ = serve(log=log)
        send(Peer("127.0.0.1", server.port))
        wait_until(lambda: "was not written to syslog" in caplog.text, 2 * TIMEOUT_S, "a message that cannot be sent")
        assert receiver.messages == []


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_no_message_is_lost_to_a_receiver_that_was_restarted(transport, hospital, viewer, node_identity):
    """What is written into a connection that the other side closed is accepted by the system, and gone."""
    tls = server_side(viewer, hospital) if transport == "tls" else None
    context = None
    if tls:
        context = ssl.create_default_context(cafile=str(hospital.certificate))
        context.load_cert_chain(node_identity.certificate, node_identity.key)
    with receiving(transport, tls) as receiver:
        sender = Syslog(receiver.address, transport, context)
        sender.send("first")
        wait_for_messages(receiver, 1)
        receiver.hang_up()
    with receiving(transport, tls) as again:
        sender._address = ("127.0.0.1", int(again.address.rpartition(":")[2]))
        sender.send("second")
        wait_for_messages(again, 1)
        sender.close()
    assert again.messages[0].endswith("second")


def wait_for_messages(receiver, number):
    """Wait until it has that many."""
    end = time.monotonic() + TIMEOUT_S
    while len(receiver.messages) < number:
        assert time.monotonic() < end, receiver.messages
        time.sleep(0.02)


# --- settings --------------------------------------------------------------------------------------------------------


def test_a_wrong_file_stops_the_start(serve, tmp_path):
    missing = {"ca": tmp_path / "nothing.pem"}
    with pytest.raises(SettingsError, match=r"nothing\.pem: No such file"):
        serve(dimse={"destinations": {"A": {"host": "x", "port": 104, "tls": missing}}})
    with pytest.raises(SettingsError, match=r"nothing\.pem: No such file"):
        serve(log={"syslog": "127.0.0.1:6514", "syslog_transport": "tls", "syslog_tls": missing})


def test_a_key_without_its_certificate_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"log\.syslog_tls: .*needs a certificate"):
        load_settings(flags={"log": {"syslog_tls": {"key": tmp_path}}}, environment={})


def test_without_a_table_there_is_no_tls():
    settings = load_settings(flags={"dimse": {"destinations": {"A": {"host": "x", "port": 1}}}}, environment={})
    (route,) = routes(settings.dimse.destinations, TlsSettings()).values()
    assert route.tls_args is None
