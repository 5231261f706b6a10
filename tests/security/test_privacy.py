"""What the node writes is its user's alone, and says neither passwords nor patients."""

from __future__ import annotations

import logging
import os
import stat

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from mripacs import load_settings
from mripacs.cli.fetching import get_files
from mripacs.core.errors import MripacsError, SettingsError
from mripacs.core.model import ReceivedObject
from mripacs.dimse import client
from mripacs.dimse.client import Peer
from mripacs.store import Store
from tests.e2e.node_process import NodeProcess, run_mripacs
from tests.e2e.objects import encoded, mr_object

PASSWORD = "hunter2-of-the-database"  # noqa: S105 - made up


@pytest.fixture
def open_umask():
    """The least careful umask: whatever is private was made so on purpose."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes_below(folder):
    """Permission bits of a folder and all in it."""
    return {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_the_database_is_private(open_umask, serve, tmp_path):
    server, _ = serve()
    dataset = mr_object()
    item = ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, MRImageStorage, dataset.SOPInstanceUID, "test")
    assert [result.status for result in client.send(Peer("127.0.0.1", server.port), [item])] == [0]
    modes = modes_below(tmp_path / "archive")
    assert {path.name for path in modes} >= {"mripacs.db", "mripacs.db-wal", "mripacs.db-shm"}  # while it runs
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_exported_and_fetched_files_are_private(open_umask, serve, tmp_path):
    server, archive = serve()
    dataset = mr_object()
    item = ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, MRImageStorage, dataset.SOPInstanceUID, "test")
    archive.store(item)
    for identity in archive:
        archive.export(identity, tmp_path / "exported" / "here")
    keys = {"StudyInstanceUID": dataset.StudyInstanceUID}
    get_files(Peer("127.0.0.1", server.port), "STUDY", keys, tmp_path / "fetched" / "here")
    for folder in (tmp_path / "exported", tmp_path / "fetched"):
        modes = modes_below(folder)
        assert any(path.suffix == ".dcm" for path in modes)
        assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{PASSWORD}@127.0.0.1:1/nothing",
        f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/nothing?connect_timeout=1",
    ],
)
def test_a_database_that_cannot_be_reached_keeps_its_password(url, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(MripacsError) as caught:
        Store.open(url)
    said = [str(caught.value), caplog.text]
    error = caught.value.__cause__
    while error is not None:
        said.append(str(error))
        error = error.__cause__
    assert not any(PASSWORD in words for words in said)


@pytest.mark.parametrize(
    "url", [f"mysql://user:{PASSWORD}@host/name", f"postgres:/user:{PASSWORD}@host", f"user:{PASSWORD}@host"]
)
def test_a_wrong_url_keeps_its_password(url):
    with pytest.raises(SettingsError) as caught:
        load_settings(flags={"archive": {"database_url": url}}, environment={})
    assert PASSWORD not in str(caught.value)


def test_commands_keep_the_password(tmp_path):
    done = run_mripacs("--log-level", "debug", "--database", f"postgresql://user:{PASSWORD}@127.0.0.1:1/x", "serve")
    assert done.returncode != 0
    assert PASSWORD not in done.stdout + done.stderr


def test_a_debug_log_names_no_patient(tmp_path):
    """At the most talkative level, with a query by name and objects that are refused."""
    node = NodeProcess(tmp_path, config='[log]\nlevel = "DEBUG"\n', workers=0).start()
    try:
        peer = Peer("127.0.0.1", node.port)
        dataset = mr_object(PatientName="Secret^Patient", PatientID="SECRET-17", StudyDescription="secret study")
        data = encoded(dataset)
        for body, uid in ((data, dataset.SOPInstanceUID), (data[:-3000], "1.2.3"), (data[:300], "1.2.4")):
            item = ReceivedObject(body, ExplicitVRLittleEndian, MRImageStorage, uid, "test")
            list(client.send(peer, [item]))
        assert len(list(client.find(peer, "STUDY", {"PatientName": "Secret*", "PatientID": "SECRET-17"}))) == 1
        node.settle()  # which writes what it was stored as
    finally:
        node.stop()
    assert dataset.SOPInstanceUID in node.log
    assert "secret" not in node.log.lower()
