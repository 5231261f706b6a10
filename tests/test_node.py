"""The wiring: starts in order, ends in order, and leaves nothing behind when it cannot start."""

from __future__ import annotations

import socket

import pytest
from pynetdicom import AE

from mripacs import load_settings
from mripacs.core.errors import PeerError, SettingsError
from mripacs.dimse import client
from mripacs.dimse.client import Peer
from mripacs.node import Node


def settings(folder, **dimse):
    flags = {
        "archive": {"directory": folder, "workers": 0},
        "dimse": {"port": 0, **dimse},
        "web": {"enabled": False},
    }
    return load_settings(flags=flags, environment={})


def test_serves_until_it_is_left(tmp_path):
    with Node(settings(tmp_path)) as node:
        peer = Peer("127.0.0.1", node.dicom_port)
        client.echo(peer)
        assert list(node.archive) == []
    with pytest.raises(PeerError, match="cannot be reached"):
        client.echo(peer)


def test_a_taken_port_is_a_settings_error(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        node = Node(settings(tmp_path, port=taken.getsockname()[1]))
        with pytest.raises(SettingsError, match="cannot listen on"), node:
            pass


def test_another_title_is_refused_where_ours_is_required(tmp_path):
    with Node(settings(tmp_path, require_called_ae=True, ae_title="OURS")) as node:
        client.echo(Peer("127.0.0.1", node.dicom_port, "OURS"))
        with pytest.raises(PeerError, match="rejected"):
            client.echo(Peer("127.0.0.1", node.dicom_port, "THEIRS"))


def test_more_associations_than_allowed_are_refused(tmp_path):
    with Node(settings(tmp_path, max_associations=1)) as node:
        peer = Peer("127.0.0.1", node.dicom_port)
        entity = AE()
        entity.add_requested_context("1.2.840.10008.1.1")
        first = entity.associate(peer.host, peer.port)
        assert first.is_established
        with pytest.raises(PeerError):
            client.echo(peer)
        first.release()
