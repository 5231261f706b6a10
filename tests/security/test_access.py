"""Who may associate: networks, titles, numbers; the refusal that a peer sees, and the one line in the log."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.acse import ACSE
from pynetdicom.sop_class import Verification

from mripacs.audit.trail import AuditTrail
from mripacs.core.errors import SettingsError
from mripacs.core.settings import DimseSettings, load_settings
from mripacs.dimse import client
from mripacs.dimse.access import AccessControl
from mripacs.dimse.client import Peer
from mripacs.dimse.connections import Connections
from mripacs.dimse.pace import Rate
from tests.e2e.node_process import wait_until
from tests.e2e.raw_association import RawAssociation, RejectedError

PERMANENT, TRANSIENT = 1, 2
USER, PRESENTATION = 1, 3

# Settings, calling title, called title, then (result, source, diagnostic) of PS3.8 Table 9-21, or None where accepted.
CASES = {
    "no lists": ({}, "ANY", "ANY", None),
    "calling title listed": ({"calling_ae_titles": ["MR?", "CT1"]}, "MR2", "ANY", None),
    "calling title not listed": ({"calling_ae_titles": ["MR?"]}, "MR22", "ANY", (PERMANENT, USER, 3)),
    "titles have case": ({"calling_ae_titles": ["MR?"]}, "mr2", "ANY", (PERMANENT, USER, 3)),
    "called title is ours": ({"require_called_ae": True}, "ANY", "MRIPACS", None),
    "called title is not ours": ({"require_called_ae": True}, "ANY", "OTHER", (PERMANENT, USER, 7)),
    "called title is another of ours": (
        {"require_called_ae": True, "called_ae_titles": ["OLD*"]}, "ANY", "OLD_PACS", None,
    ),
    "network listed": ({"networks": ["10.0.0.0/8", "127.0.0.0/8"]}, "ANY", "ANY", None),
    "network not listed": ({"networks": ["10.0.0.0/8", "::1/128"]}, "ANY", "ANY", (PERMANENT, USER, 1)),
}  # fmt: skip


def associate(port, calling="ANY", called="ANY"):
    return RawAssociation(port, [(Verification, ImplicitVRLittleEndian)], calling=calling, called=called)


def refusal(port, calling="ANY", called="ANY"):
    """(result, source, diagnostic) of the A-ASSOCIATE-RJ; None when the association was accepted."""
    try:
        with associate(port, calling, called):
            return None
    except RejectedError as rejected:
        return rejected.args


@pytest.mark.parametrize("case", CASES)
def test_who_may_associate(serve, caplog, case):
    settings, calling, called, expected = CASES[case]
    server, _ = serve(dimse=settings)
    assert refusal(server.port, calling, called) == expected
    lines = [record for record in caplog.records if record.message.startswith("rejected ")]
    assert len(lines) == (expected is not None)
    if lines:
        assert repr(calling) in lines[0].message
        assert "127.0.0.1" in lines[0].message


@pytest.mark.parametrize("kind", [ValueError, MemoryError])
def test_what_cannot_be_judged_is_rejected(serve, monkeypatch, caplog, kind):
    """pynetdicom only logs what a handler raises, and negotiates."""
    server, _ = serve()

    def failing(*_):
        raise kind("a title")

    with monkeypatch.context() as patched:
        patched.setattr(AccessControl, "judge", failing)
        assert refusal(server.port) == (TRANSIENT, PRESENTATION, 1)
    assert f"127.0.0.1: {kind.__name__}" in caplog.text
    assert "a title" not in caplog.text
    client.echo(Peer("127.0.0.1", server.port))


def test_a_rejection_that_cannot_be_told_is_one(serve, monkeypatch):
    server, _ = serve(dimse={"calling_ae_titles": ["MR?"]})

    def failing(*_):
        raise OSError("no audit trail")

    with monkeypatch.context() as patched:
        patched.setattr(AuditTrail, "record", failing)
        assert refusal(server.port) == (PERMANENT, USER, 3)


def test_a_rejection_that_cannot_be_sent_ends_the_connection(serve, monkeypatch):
    server, _ = serve(dimse={"calling_ae_titles": ["MR?"]})

    def failing(*_):
        raise MemoryError

    monkeypatch.setattr(ACSE, "send_reject", failing)
    with pytest.raises(AssertionError, match="closed the connection"):
        associate(server.port)


@pytest.mark.parametrize("limit", ["max_associations", "max_associations_per_peer"])
def test_one_too_many(serve, limit):
    server, _ = serve(dimse={limit: 2})
    with associate(server.port):
        with associate(server.port):
            assert refusal(server.port) == (TRANSIENT, PRESENTATION, 2)
        wait_until(lambda: refusal(server.port) is None, 5, "room again")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),  # as a socket on :: sees it
        ("11.1.2.3", False),
        ("fd00::17", True),
        ("fe80::1%eth0", False),
        ("no address", False),
    ],
)
def test_networks(address, allowed):
    settings = DimseSettings(networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
    rejection = AccessControl(settings, Connections(), Rate(0)).judge("ANY", "ANY", address)
    assert (rejection is None) is allowed


@pytest.mark.parametrize("network", ["10.1.2.3/8", "hospital", "10.0.0.0/33"])
def test_a_wrong_network_stops_the_start(network):
    with pytest.raises(SettingsError, match=r"dimse\.networks\.0 = .*network in CIDR notation"):
        load_settings(flags={"dimse": {"networks": [network]}}, environment={})
