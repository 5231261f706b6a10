"""TCP_NODELAY is set on every socket: accepted ones, those of C-MOVE to a destination, and those of our clients."""

from __future__ import annotations

import socket

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MoveModel

from mripacs import Archive, load_settings
from mripacs.dimse import DicomServer, client
from mripacs.dimse.client import Peer
from tests.e2e.objects import encoded, mr_object


@pytest.fixture
def destination():
    """The port of a storage SCP."""
    entity = AE()
    entity.add_supported_context(MRImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0)])
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def options(monkeypatch):
    """(option, value) of every setsockopt at level TCP while the test runs."""
    made = []
    plain = socket.socket.setsockopt

    def setsockopt(self, level, option, *value):
        if level == socket.IPPROTO_TCP:
            made.append((self.getpeername()[1], option, *value))
        return plain(self, level, option, *value)

    monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)
    return made


@pytest.fixture
def server(tmp_path, destination):
    """A DICOM server on an archive without codec processes, which may move to OTHER."""
    flags = {
        "archive": {"directory": tmp_path},
        "dimse": {"port": 0, "destinations": {"OTHER": {"host": "127.0.0.1", "port": destination}}},
    }
    with Archive.open(settings=load_settings(flags=flags, environment={})) as archive:
        made = DicomServer(archive)
        made.start()
        yield made, archive
        made.stop()


def test_accepted_and_requested_sockets(server, destination, options):
    node, archive = server
    dataset = mr_object(ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP"])
    archive.store(encoded(dataset))
    client.echo(Peer("127.0.0.1", node.port))
    ours = {peer for peer, option, value in options if (option, value) == (socket.TCP_NODELAY, 1)}
    assert node.port in ours  # the client's socket
    assert len(ours) == 2  # and the accepted one
    move(node.port, dataset.StudyInstanceUID)
    assert destination in {peer for peer, *rest in options if rest == [socket.TCP_NODELAY, 1]}


def move(port, study_uid):
    """A C-MOVE of a study to OTHER; it must succeed."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_uid
    entity = AE()
    entity.add_requested_context(MoveModel)
    association = entity.associate("127.0.0.1", port)
    try:
        *_, (status, _) = association.send_c_move(identifier, "OTHER", MoveModel)
        assert (status.Status, status.NumberOfCompletedSuboperations) == (0x0000, 1)
    finally:
        association.release()
