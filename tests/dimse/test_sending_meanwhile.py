"""Other threads that send, abort or stop while an association's own thread reads."""

from __future__ import annotations

import logging
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.sop_class import Verification

from mripacs.cli.node_bench import upper_layer as bench
from mripacs.cli.node_bench.upper_layer import HEADER, RELEASE_RP, RELEASE_RQ
from mripacs.dimse.tls_sockets import SharedTlsSocket
from tests.dimse.test_upper_layer import listening, raw, until
from tests.real_parts import REPOSITORY
from tests.security.authority import Authority

SECONDS = 2.0  # reads that were not kept apart from sends broke within half a second


def a_report() -> N_EVENT_REPORT:
    report = N_EVENT_REPORT()
    report.MessageID, report.EventTypeID = 1, 1
    report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
    report.EventInformation = BytesIO(bytes(200))
    return report


@pytest.fixture
def context(tmp_path, require_program):
    require_program("openssl")
    identity = Authority(tmp_path, "hospital").found().identify("node")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(identity.certificate, identity.key)
    return made


@pytest.fixture
def short_turns():
    """Threads change often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("short_turns")
def test_reports_over_tls_beside_a_sender(context):
    report = [HEADER.pack(4, 106) + bench.PDV_HEADER.pack(102, 3, 3) + b"x" * 100]  # of its bytes nobody here asks
    handlers = [(evt.EVT_C_STORE, lambda _: 0)]
    with listening(handlers, ssl_context=context) as (port, associations):
        command = [sys.executable, "-m", "tests.dimse.tls_sender", str(port), str(SECONDS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as sender:
            until(lambda: associations or sender.poll() is not None)
            sent = 0
            while sender.poll() is None and associations[0].is_established:
                associations[0].dimse.send_pdus(report)
                sent += 1
                time.sleep(0.0002)
            words = sender.stdout.read().split()
    assert words[0] == "stored", words
    assert int(words[1]) > 10
    assert sent > 100


def test_tls_keeps_its_time_out(context):
    with listening(ssl_context=context) as (port, _), socket.create_connection(("127.0.0.1", port)) as connection:
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
        with plain.wrap_socket(connection) as secured:
            secured.settimeout(10)
            secured.sendall(bench.request("ANY-SCP", "IDLE", (bench.Proposal(str(MRImageStorage)),)))
            assert secured.recv(1) == b"\x02"
            secured.sendall(b"\x04")  # a PDU that never goes on, longer than the time-out of 5 s
            began = time.monotonic()
            while secured.recv(2**16):
                pass
            assert 3 < time.monotonic() - began < 9


@pytest.mark.parametrize("end", ["shutdown", "close"])
def test_tls_that_another_thread_ends(context, end):
    """Who waits sees the end as on a plain connection; what is sent afterwards fails, and the cipher is still there."""
    context.sslsocket_class = SharedTlsSocket
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(2) as threads:
        accepted = threads.submit(lambda: context.wrap_socket(server.accept()[0], server_side=True))
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
        client = plain.wrap_socket(socket.create_connection(server.getsockname()))
        with client, accepted.result(10) as shared:
            shared.settimeout(10)
            shared.share()
            waiting = threads.submit(shared.recv, 1)
            time.sleep(0.2)
            shared.shutdown(socket.SHUT_RDWR)
            assert shared.cipher() is not None
            if end == "close":
                shared.close()
            failure = waiting.exception(5)
            assert isinstance(failure, OSError) if failure else waiting.result() == b""
            with pytest.raises(OSError):  # noqa: PT011 - whichever the system gives
                shared.sendall(b"A patient's name")
            client.settimeout(5)
            with suppress(ssl.SSLError, ConnectionError):
                assert client.recv(100) == b""


def test_tls_that_is_closed_is_an_error_of_the_connection(context):
    """Not a ValueError, which nobody who reads expects."""
    context.sslsocket_class = SharedTlsSocket
    ours, theirs = socket.socketpair()
    with theirs:
        shared = context.wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
        shared.share()
        shared.close()
        with pytest.raises(OSError):  # noqa: PT011 - as above
            shared.read(1)


@pytest.mark.usefixtures("short_turns")
def test_reports_beside_a_release(caplog):
    """Each release is answered, and nothing is acted on in another's place."""
    caplog.set_level(logging.WARNING, "mripacs")
    with listening() as (port, associations):
        for _ in range(150):
            client = raw(port, Verification)
            until(lambda: associations)
            association = associations.pop()
            sending = threading.Thread(target=send_until_the_end, args=(association,))
            sending.start()
            time.sleep(random.random() * 0.004)  # noqa: S311 - no secret
            client._socket.sendall(HEADER.pack(RELEASE_RQ, 4) + bytes(4))
            kind = 0
            while kind != RELEASE_RP:
                kind, _ = bench.read_pdu(client._incoming)
            client._incoming.close()
            client._socket.close()
            sending.join(5)
            assert not sending.is_alive()
    assert caplog.messages == []


def send_until_the_end(association):
    while association.is_established and not association._kill:
        association.dimse.send_msg(a_report(), 1)


def test_the_end_of_the_entity_closes_what_has_not_asked_yet(caplog):
    caplog.set_level(logging.WARNING, "mripacs")
    opened = []
    handlers = [(evt.EVT_CONN_OPEN, lambda event: opened.append(event.assoc))]
    with listening(handlers) as (port, _), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        until(lambda: opened)
        opened[0].abort()
        assert connection.recv(1) == b""
        until(lambda: not opened[0].is_alive())
    assert caplog.messages == []
