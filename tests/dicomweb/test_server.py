"""The web process itself: started by the node, supervised, bounded, ended in order."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest
import requests

from mripacs.core.errors import SettingsError
from mripacs.dicomweb import http_protocol
from mripacs.dicomweb.process import WebProcess
from tests.dicomweb.conftest import LOSSLESS, ROOT, settings_of
from tests.dicomweb.multipart import related
from tests.e2e.node_process import NodeProcess, wait_until
from tests.security.authority import Authority


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    process = WebProcess(settings_of(tmp_path_factory.mktemp("server") / "archive", LOSSLESS))
    process.start()
    yield process
    process.stop()


def url(process, path="/studies"):
    return f"http://127.0.0.1:{process.port}{ROOT}{path}"


def talk(port, sent, wait_s=10.0):
    """What a server answers to raw bytes until it closes or says nothing more."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n\r\n" in received and not received.startswith(b"HTTP/1.1 100"):
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def test_a_process_that_dies_is_replaced(process):
    pid = process._process.pid
    os.kill(pid, signal.SIGKILL)
    answer = requests.get(url(process), timeout=60)  # waits in the socket's queue
    assert answer.status_code == 204
    assert process._process.pid != pid


def test_expect_100_continue(process):
    """The body is asked for only where the head is good (RFC 9110 10.1.1)."""
    head = f"POST {ROOT}/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 40\r\n"
    good = f"{head}Content-Type: {related()['Content-Type']}\r\n\r\n".encode()
    assert talk(process.port, good, 2.0).startswith(b"HTTP/1.1 100 Continue")
    bad = f"{head}Content-Type: text/plain\r\n\r\n".encode()
    assert talk(process.port, bad).startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * (http_protocol.MAX_HEAD_BYTES + 1),
        b"GET /" + b"x" * (http_protocol.MAX_HEAD_BYTES + 1),
        b"\0\1\2\3 nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
    ids=["header", "path", "nonsense", "version"],
)
def test_heads_that_are_none(process, sent):
    answer = talk(process.port, sent)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert requests.get(url(process), timeout=30).status_code == 204


def test_memory_does_not_grow_with_the_request(process):
    """Parts of 30 MB, none of them DICOM, go through the disk: ten of them take no more memory than two."""
    peaks = []
    for count in (2, 10):
        answer = requests.post(url(process), data=large_body(count), headers=related(), timeout=120)
        assert answer.status_code == 400
        assert len(answer.json()["0008119A"]["Value"]) == count
        peaks.append(peak_kb(process._process.pid) / 1024)
    assert peaks[1] - peaks[0] < 60  # of 240 MB more


def large_body(parts):
    for _ in range(parts):
        yield b"--limit\r\nContent-Type: application/dicom\r\n\r\n"
        for _ in range(30):
            yield b"\1" * (1 << 20)
        yield b"\r\n"
    yield b"--limit--"


def peak_kb(pid):
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_the_address_is_taken(process, tmp_path):
    settings = settings_of(tmp_path / "archive", port=process.port)
    with pytest.raises(SettingsError, match="cannot listen"):
        WebProcess(settings).start()


def test_wrong_tls_files(tmp_path):
    settings = settings_of(tmp_path / "archive", tls={"certificate": tmp_path / "none.pem"})
    with pytest.raises(SettingsError, match=r"none\.pem"):
        WebProcess(settings).start()


def test_the_node_starts_and_ends_it(tmp_path):
    port_file = tmp_path / "web-port"
    node = NodeProcess(tmp_path, arguments=("--web-port", "0", "--web-port-file", str(port_file))).start()
    try:
        port = int(port_file.read_text())
        assert requests.get(f"http://127.0.0.1:{port}{ROOT}/studies", timeout=30).status_code == 204
        began = time.monotonic()
        node.stop()
        assert time.monotonic() - began < 30
        wait_until(lambda: refuses(port), 10, "the web door closed")
    finally:
        if node.process is not None:
            node.kill()


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_ends_when_the_node_is_killed(tmp_path):
    port_file = tmp_path / "web-port"
    node = NodeProcess(tmp_path, arguments=("--web-port", "0", "--web-port-file", str(port_file))).start()
    port = int(port_file.read_text())
    node.kill()
    wait_until(lambda: refuses(port), 30, "the web process ended")


def test_https(tmp_path, require_program):
    require_program("openssl")
    authority = Authority(tmp_path, "hospital").found()
    node = authority.identify("node")
    tls = {"certificate": node.certificate, "key": node.key}
    process = WebProcess(settings_of(tmp_path / "archive", tls=tls))
    process.start()
    try:
        answer = requests.get(
            f"https://127.0.0.1:{process.port}{ROOT}/studies", verify=str(authority.certificate), timeout=30
        )
        assert answer.status_code == 204
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(f"http://127.0.0.1:{process.port}{ROOT}/studies", timeout=30)
    finally:
        process.stop()
