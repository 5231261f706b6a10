"""DICOM TLS with DCMTK's clients and our own: who is believed, who is refused, and what a wrong file is told."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from mripacs.core.errors import PeerError, SettingsError
from mripacs.core.model import ReceivedObject
from mripacs.core.settings import load_settings
from mripacs.core.tls import TlsSettings
from mripacs.core.tls_contexts import ClientTls, server_context
from mripacs.dimse import client
from mripacs.dimse.client import Peer
from tests.e2e.node_process import run_mripacs, wait_until
from tests.e2e.objects import encoded, mr_object, written


@pytest.fixture
def node(serve, node_identity):
    """A node that shows its certificate and asks for none."""
    server, _ = serve(dimse={"tls": {"certificate": node_identity.certificate, "key": node_identity.key}})
    return server


@pytest.fixture
def mutual_node(serve, node_identity, hospital):
    """A node that wants a certificate of the hospital's."""
    tls = {"certificate": node_identity.certificate, "key": node_identity.key, "client_ca": hospital.certificate}
    server, _ = serve(dimse={"tls": tls})
    return server


def peer(server, tls=None):
    return Peer("127.0.0.1", server.port, timeout_s=10, tls=tls)


def dcmtk(require_program, name, server, authority, *options):
    """Exit code and output of one of DCMTK's clients, which believes `authority`."""
    command = [require_program(name), "+cf", authority.certificate, *options]
    at = command.index("--") if "--" in command else len(command)
    command[at:at] = ["127.0.0.1", server.port]
    done = subprocess.run(
        [str(part) for part in command if part != "--"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def shown(identity):
    return "+tls", identity.key, identity.certificate


# --- the certificate of the node ------------------------------------------------------------------------------------


def test_our_client_believes_the_hospital(node, hospital):
    tls = ClientTls(hospital.certificate)
    client.echo(peer(node, tls))
    dataset = mr_object()
    item = ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, MRImageStorage, dataset.SOPInstanceUID, "test")
    assert [result.status for result in client.send(peer(node, tls), [item])] == [0]
    (found,) = client.find(peer(node, tls), "STUDY", {"StudyInstanceUID": dataset.StudyInstanceUID})
    assert found["StudyInstanceUID"] == dataset.StudyInstanceUID
    received = []
    counts = client.get(
        peer(node, tls), "STUDY", {"StudyInstanceUID": dataset.StudyInstanceUID}, [MRImageStorage], received.append
    )
    assert (counts["completed"], len(received)) == (1, 1)


def test_our_client_does_not_believe_a_stranger(node, stranger):
    with pytest.raises(PeerError):
        client.echo(peer(node, ClientTls(stranger.certificate)))


def test_our_client_checks_the_name(node, hospital):
    elsewhere = Peer("localhost", node.port, timeout_s=10, tls=ClientTls(hospital.certificate))
    with pytest.raises(PeerError):
        client.echo(elsewhere)
    client.echo(Peer("localhost", node.port, timeout_s=10, tls=ClientTls(hospital.certificate, check_name=False)))


def test_dcmtk_believes_the_hospital_alone(node, hospital, stranger, viewer, require_program, tmp_path):
    assert dcmtk(require_program, "echoscu", node, hospital, *shown(viewer))[0] == 0
    file = written(mr_object(), tmp_path / "image.dcm")
    code, output = dcmtk(require_program, "storescu", node, hospital, "-v", *shown(viewer), "--", file)
    assert code == 0
    assert "Received Store Response (Success)" in output
    code, output = dcmtk(require_program, "echoscu", node, stranger, *shown(viewer))
    assert code != 0
    assert "certificate verify failed" in output


def test_our_commands(mutual_node, hospital, viewer, tmp_path):
    file = written(mr_object(), tmp_path / "image.dcm")
    trust = ("--tls", "--ca", hospital.certificate, "--cert", viewer.certificate, "--cert-key", viewer.key)
    for command, *arguments in (("echo",), ("send", file), ("find",)):
        done = run_mripacs(command, "127.0.0.1", mutual_node.port, *arguments, *trust)
        assert done.returncode == 0, done.stderr
    assert run_mripacs("echo", "127.0.0.1", mutual_node.port, "--tls").returncode == 69
    assert run_mripacs("echo", "127.0.0.1", mutual_node.port, "--ca", hospital.certificate).returncode == 78


# --- the certificate of the peer ------------------------------------------------------------------------------------


def test_mutual(mutual_node, hospital, viewer):
    client.echo(peer(mutual_node, ClientTls(hospital.certificate, viewer.certificate, viewer.key)))
    for tls in (ClientTls(hospital.certificate), None):
        with pytest.raises(PeerError):
            client.echo(peer(mutual_node, tls))


def test_a_strangers_certificate_is_refused(mutual_node, hospital, stranger):
    own = stranger.identify("intruder")
    with pytest.raises(PeerError):
        client.echo(peer(mutual_node, ClientTls(hospital.certificate, own.certificate, own.key)))


def test_mutual_with_dcmtk(mutual_node, hospital, viewer, stranger, require_program):
    assert dcmtk(require_program, "echoscu", mutual_node, hospital, *shown(viewer))[0] == 0
    own = stranger.identify("intruder with DCMTK")
    assert dcmtk(require_program, "echoscu", mutual_node, hospital, *shown(own))[0] != 0
    assert dcmtk(require_program, "echoscu", mutual_node, hospital, "+tla")[0] != 0


# --- versions, and peers that speak no TLS --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "option", "accepted"),
    [(ssl.TLSVersion.TLSv1_1, "-tls1_1", False), (ssl.TLSVersion.TLSv1_2, "-tls1_2", True), (None, "-tls1_3", True)],
)
def test_versions(node, hospital, require_program, version, option, accepted):
    command = [
        require_program("openssl"), "s_client", "-connect", f"127.0.0.1:{node.port}", "-CAfile", hospital.certificate,
        "-cipher", "DEFAULT@SECLEVEL=0", "-verify_return_error", option,
    ]  # fmt: skip
    done = subprocess.run(command, input=b"", capture_output=True, timeout=60, check=False)
    assert (b"Verify return code: 0 (ok)" in done.stdout and done.returncode == 0) is accepted
    if not accepted:
        assert b"alert protocol version" in done.stderr
        assert version == ssl.TLSVersion.TLSv1_1


def test_a_plain_client_is_told_nothing_and_the_node_lives(node, hospital):
    with pytest.raises(PeerError):
        client.echo(peer(node))
    client.echo(peer(node, ClientTls(hospital.certificate)))


def test_a_peer_that_does_not_shake_hands_keeps_nobody_out(serve, node_identity, hospital):
    tls = {"certificate": node_identity.certificate, "key": node_identity.key}
    server, _ = serve(dimse={"tls": tls, "negotiation_timeout_s": 10.0})
    with socket.create_connection(("127.0.0.1", server.port), 30) as silent:
        start = time.monotonic()
        client.echo(peer(server, ClientTls(hospital.certificate)))
        assert time.monotonic() - start < 9
        silent.settimeout(30)
        assert silent.recv(1) == b""
        assert time.monotonic() - start < 25


def test_a_handshake_under_way_ends_with_the_node(serve, node_identity):
    """Its other half, sent after the stop, found an association served from a closed archive."""
    tls = {"certificate": node_identity.certificate, "key": node_identity.key}
    server, _ = serve(dimse={"tls": tls, "negotiation_timeout_s": 30.0})
    with socket.create_connection(("127.0.0.1", server.port), 10) as silent:
        known = server._server._connections
        wait_until(lambda: any(isinstance(each.connection, ssl.SSLSocket) for each in known._entries), 5, "TLS")
        server.stop()
        assert silent.recv(1) == b""


# --- wrong files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def wrong(tmp_path, node_identity, viewer, hospital):
    """Settings that name a wrong file, with what the error must say."""
    nothing = tmp_path / "nothing.pem"
    text = tmp_path / "text.pem"
    text.write_text("no PEM at all", encoding="ascii")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", node_identity.key, "-out", locked],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    good, key = node_identity.certificate, node_identity.key
    return {
        "no such certificate": ((nothing, None, None), nothing, "No such file"),
        "no such key": ((good, nothing, None), nothing, "No such file"),
        "no such authority": ((good, key, nothing), nothing, "No such file"),
        "a folder": ((tmp_path, None, None), tmp_path, "directory"),
        "certificate is no PEM": ((text, key, None), text, "no PEM"),
        "key is no PEM": ((good, text, None), text, "no PEM"),
        "authority is no PEM": ((good, key, text), text, "no certificate"),
        "key of another certificate": ((good, viewer.key, None), viewer.key, "not the certificate's"),
        "key with a pass phrase": ((good, locked, None), locked, "pass phrase"),
    }


def test_wrong_files_are_named(wrong):
    for case, ((certificate, key, authority), file, words) in wrong.items():
        with pytest.raises(SettingsError) as caught:
            server_context(TlsSettings(certificate=certificate, key=key, client_ca=authority))
        assert str(file) in str(caught.value), case
        assert words in str(caught.value), case


def test_a_wrong_file_stops_the_start(serve, tmp_path):
    with pytest.raises(SettingsError, match=r"nothing\.pem: No such file"):
        serve(dimse={"tls": {"certificate": tmp_path / "nothing.pem"}})


def test_authorities_without_a_certificate_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"dimse\.tls: .*need a certificate"):
        load_settings(flags={"dimse": {"tls": {"client_ca": tmp_path}}}, environment={})
