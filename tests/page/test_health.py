"""Health and metrics: of an application alone, of a running node, and of nodes with something wrong."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydicom.uid import generate_uid
from starlette.testclient import TestClient

import mripacs
from mripacs.core import metrics
from mripacs.core.errors import ConflictError, StoreUnavailableError
from mripacs.core.settings import load_settings
from mripacs.core.status import StatusServer, ask
from mripacs.dicomweb import app as web
from mripacs.node import Node
from tests.e2e.objects import encoded, mr_object


@pytest.fixture
def archive(tmp_path):
    settings = load_settings(flags={"archive": {"directory": tmp_path / "archive"}}, environment={})
    with mripacs.Archive.open(settings=settings) as opened:
        yield opened


@pytest.fixture
def door(archive):
    return TestClient(web.build(archive, archive.settings), base_url="http://127.0.0.1")


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of an exposition, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    return samples(text).get((name, frozenset(labels.items())), 0.0)


def test_alive(door):
    assert door.get("/healthz").status_code == 200


def test_ready_names_each_part(door):
    answer = door.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "disk": "ok"})


def test_a_database_that_does_not_answer_is_named(door, archive, monkeypatch):
    def fails():
        raise StoreUnavailableError("/secret/place cannot be reached")

    monkeypatch.setattr(archive, "database_health", fails)
    answer = door.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "StoreUnavailableError")
    assert "secret" not in answer.text
    assert value(door.get("/metrics").text, "mripacs_database_up") == 0


def test_a_disk_that_is_nearly_full_is_named(archive):
    limits = archive.settings.limits.model_copy(update={"min_free_bytes": 2**60})
    settings = archive.settings.model_copy(update={"limits": limits})
    answer = TestClient(web.build(archive, settings), base_url="http://127.0.0.1").get("/readyz")
    assert answer.status_code == 503
    assert "bytes are free" in answer.json()["disk"]


def test_a_node_that_is_gone_is_named(archive, tmp_path):
    app = web.build(archive, archive.settings, str(tmp_path / "nobody"))
    with TestClient(app, base_url="http://127.0.0.1") as door:
        assert door.get("/readyz").json()["node"] == "does not answer"
        assert value(door.get("/metrics").text, "mripacs_node_up") == 0


def test_what_is_stored_and_fetched_is_counted(door, archive):
    before = door.get("/metrics").text
    dataset = mr_object()
    receipt = archive.store(encoded(dataset))
    archive.store(encoded(dataset))
    archive.fetch(receipt.sop_instance_uid)
    after = door.get("/metrics").text

    def grown(name: str, **labels: str) -> float:
        return value(after, name, process="web", **labels) - value(before, name, process="web", **labels)

    assert grown("mripacs_received_objects_total", door="import", disposition="stored", tier="kwavelet") == 1
    assert grown("mripacs_received_objects_total", door="import", disposition="duplicate", tier="kwavelet") == 1
    assert grown("mripacs_received_bytes_total", tier="kwavelet") == receipt.certificate.received_bytes
    assert grown("mripacs_stored_bytes_total", tier="kwavelet") == receipt.stored_bytes
    assert grown("mripacs_store_seconds_count") == 2
    assert grown("mripacs_encode_seconds_count", tier="kwavelet") == 1
    assert grown("mripacs_decode_seconds_count") >= 1
    assert grown("mripacs_fetch_seconds_count") == 1
    assert grown("mripacs_fetched_bytes_total") > 2000
    assert value(after, "mripacs_codec_jobs", process="web") == 0
    assert value(after, "mripacs_database_bytes") > 10_000


def test_errors_are_counted_by_kind(door, archive):
    dataset = mr_object()
    archive.store(encoded(dataset))
    labels = {"operation": "store", "kind": "ConflictError", "process": "web"}
    before = value(door.get("/metrics").text, "mripacs_errors_total", **labels)
    dataset.PatientID = "ANOTHER"
    with pytest.raises(ConflictError):
        archive.store(encoded(dataset))
    assert value(door.get("/metrics").text, "mripacs_errors_total", **labels) == before + 1


def test_open_metrics_on_request(door):
    answer = door.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


# --- the node's process --------------------------------------------------------------------------------------------


def test_the_status_socket_is_for_its_user_only():
    server = StatusServer(lambda: {"ready": True})
    server.start()
    try:
        assert Path(server.address).parent.stat().st_mode & 0o077 == 0
        assert ask(server.address) == {"ready": True}
    finally:
        server.close()
    assert ask(server.address) is None
    assert not Path(server.address).exists()


def test_a_status_server_that_never_started_closes():
    StatusServer(dict).close()


def test_a_peer_that_hangs_up_does_not_end_the_status():
    server = StatusServer(lambda: {"filler": "x" * 10_000_000})
    server.start()
    try:
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(server.address)
        assert ask(server.address) is not None
    finally:
        server.close()


@pytest.mark.parametrize("answer", [b"", b"no json", b"[]"])
def test_an_answer_that_is_none_is_no_answer(answer, tmp_path):
    address = str(tmp_path / "status")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()

        def reply():
            connection, _ = listening.accept()
            connection.sendall(answer)
            connection.close()

        thread = threading.Thread(target=reply)
        thread.start()
        assert ask(address) is None
        thread.join()


@pytest.fixture
def node(tmp_path):
    flags = {
        "archive": {"directory": tmp_path / "archive", "workers": 0},
        "dimse": {"port": 0},
        "web": {"port": 0, "workers": 0},
    }
    with Node(load_settings(flags=flags, environment={})) as running:
        yield SimpleNamespace(archive=running.archive, url=f"http://127.0.0.1:{running.web_port}")


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own node
        return answer.status, answer.read().decode()


def test_a_running_node_is_ready_and_its_numbers_are_seen_through_the_web_process(node):
    status, text = get(f"{node.url}/readyz")
    assert (status, json.loads(text)) == (200, {"database": "ok", "disk": "ok", "node": "ok"})
    before = get(f"{node.url}/metrics")[1]
    receipt = node.archive.store(encoded(mr_object(SOPInstanceUID=generate_uid())))
    after = get(f"{node.url}/metrics")[1]
    labels = {"tier": "kwavelet", "process": "node"}
    stored = value(after, "mripacs_stored_bytes_total", **labels) - value(
        before, "mripacs_stored_bytes_total", **labels
    )
    assert stored == receipt.stored_bytes
    assert value(after, "mripacs_stored_bytes_total", tier="kwavelet", process="web") == 0
    assert value(after, "mripacs_node_up") == 1
    assert value(after, "mripacs_associations", process="node") == 0


def test_families_are_plain_values():
    with suppress(ConflictError), metrics.counting_errors("test"):
        raise ConflictError("made")
    found = {family["name"] for family in json.loads(json.dumps(metrics.families()))}
    assert {"mripacs_received_objects", "mripacs_errors", "mripacs_encode_seconds"} <= found
