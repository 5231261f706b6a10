"""`mripacs bench node`: it runs against every server that is there, and its client speaks DICOM as pynetdicom does."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from mripacs.cli.node_bench import command_set, operations, report, servers, sink, upper_layer, usage
from mripacs.cli.node_bench.choices import OwnTier, Peer
from mripacs.cli.node_bench.operations import OPERATIONS
from mripacs.cli.node_bench.trial import Measured, Trial
from mripacs.core.errors import PeerError
from mripacs.core.settings import load_settings
from tests.cli.conftest import mripacs
from tests.e2e.objects import mr_object, written

__all__ = ["mripacs"]  # a fixture of others

MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
STORES = {"C-STORE, 1 association", "C-STORE, 4 associations"}


@pytest.fixture
def folder(tmp_path):
    """Two series of four instances."""
    for number in range(8):
        series = f"1.2.826.0.1.3680043.9.7.{number // 4 + 1}"
        instance = mr_object(
            StudyInstanceUID="1.2.826.0.1.3680043.9.7.100", SeriesInstanceUID=series, InstanceNumber=number
        )
        written(instance, tmp_path / f"{number}.dcm")
    return tmp_path


def test_every_operation_of_every_server(mripacs, folder, require_program):
    for program in ("Orthanc", "storescp"):
        require_program(program)
    flags = ("--quick", "--tier", "kwavelet", "--peer", "orthanc-compressed", "--peer", "dcmtk", "--json")
    found = mripacs("bench", "node", folder, *flags).json
    operations = {row["operation"]: row for row in found["operations"]}
    assert len(operations) == 14
    for name, row in operations.items():
        assert set(row["servers"]) == {"mripacs kwavelet", "Orthanc compressing"} | ({"storescp"} & _stores(name))
        assert all(figures["ms_per_item"] > 0 for figures in row["servers"].values())
        assert row["ratios"]["mripacs kwavelet / Orthanc compressing"] > 0
    for server in found["servers"]:
        assert server["bytes_on_disk"] > 1000
        assert server["peak_memory_bytes"] > 1_000_000
    ours, orthanc, _ = found["servers"]
    assert ours["instances"] == orthanc["instances"] == 2 * (4 * 4 + 2 * 4)


def _stores(operation):
    return {"storescp"} if operation in STORES else set()


def test_a_request_is_what_pynetdicom_reads():
    asked = (upper_layer.Proposal(MR, (EXPLICIT,), as_scp=True), upper_layer.Proposal(MR))
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(upper_layer.request("CALLED", "CALLING", asked))
    primitive = pdu.to_primitive()
    contexts = [(each.context_id, each.abstract_syntax) for each in primitive.presentation_context_definition_list]
    assert contexts == [(1, MR), (3, MR)]
    roles = [item for item in primitive.user_information if hasattr(item, "scp_role")]
    assert [(role.sop_class_uid, role.scu_role, role.scp_role) for role in roles] == [(MR, False, True)]
    assert primitive.maximum_length_received == upper_layer.MAX_PDU_BYTES


def test_an_acceptance_is_what_pynetdicom_reads():
    request = upper_layer.request("CALLED", "CALLING", (upper_layer.Proposal(MR, (EXPLICIT,)),))
    answer, max_pdu_bytes = upper_layer.accept(request[6:])
    pdu = A_ASSOCIATE_AC()
    pdu.decode(answer)
    (context,) = pdu.to_primitive().presentation_context_definition_results_list
    assert (context.context_id, context.result, context.transfer_syntax) == (1, 0, [EXPLICIT])
    assert max_pdu_bytes == upper_layer.MAX_PDU_BYTES


def test_a_message_in_small_pdus_comes_back_whole():
    command = command_set.encode_command({0x0002: MR, 0x0100: 1, 0x0110: 7, 0x0800: 1, 0x1000: "1.2.3"})
    pdus = upper_layer.message(5, command, bytes(1000), 100)
    read = upper_layer.read_message(io.BytesIO(pdus))
    assert (read.context_id, read.dataset_bytes) == (5, 1000)
    assert command_set.number_of(read.command, command_set.MESSAGE_ID) == 7
    answer = C_STORE_RSP()
    answer.command_set = decode(io.BytesIO(sink.store_response(read)), True, True)
    primitive = answer.message_to_primitive()
    assert (primitive.MessageIDBeingRespondedTo, primitive.AffectedSOPInstanceUID, primitive.Status) == (7, "1.2.3", 0)


def test_a_connection_that_ends_is_an_error():
    with pytest.raises(PeerError, match="closed"):
        upper_layer.read_message(io.BytesIO(b"\x04\x00"))


def test_ratios_are_medians_of_each_rounds_own():
    ours, peer = Measured([10, 10, 10], [1.0, 2.0, 4.0], [1, 1, 1]), Measured([10, 10, 10], [3.0, 4.0, 4.0], [1, 1, 1])
    trial = Trial({"C-GET": {"ours": ours, "peer": peer}}, {"ours": 1, "peer": 1})
    (row,) = report.operation_rows(trial, ["ours"], ["peer"])
    assert row["ratios"] == {"ours / peer": 2.0}
    assert row["servers"]["ours"]["ms_per_item"] == 200
    assert report.operation_cells([row], ["ours", "peer"])[1] == [["C-GET", "5 /s", "2 /s", "2.00"]]


def test_processor_time_of_repeated_queries_is_that_of_one():
    for operation in OPERATIONS:
        is_query = operation.items is operations._one
        assert operation.repeats == (operations.QUERIES if is_query else 1)


def test_processor_time_and_memory_of_a_tree():
    script = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(b\"x\") * 60_000_000; input()'])"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        deadline = time.monotonic() + 30
        while usage.peak_bytes(parent.pid) < 60_000_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(usage.tree(parent.pid)) == 2
        assert usage.peak_bytes(parent.pid) > 60_000_000
        assert usage.cpu_seconds(parent.pid) > 0
        parent.communicate(b"\n")


@pytest.mark.parametrize("cold", [False, True])
def test_cold_servers_have_no_cache(tmp_path, monkeypatch, cold):
    """What the servers are configured with; nothing is started."""

    class StopError(Exception):
        """The configuration is written."""

    def stop(*_, more=None, **__):
        asked.append(more)
        raise StopError

    asked = []
    for name in ("_process", "OrthancServer"):
        monkeypatch.setattr(servers, name, stop)
    with sink.MoveSink() as moves:
        with pytest.raises(StopError), servers.our_node(tmp_path / "ours", moves, OwnTier.KWAVELET, cold=cold):
            pass
        with pytest.raises(StopError), servers.PEERS[Peer.ORTHANC](tmp_path / "peer", moves, cold=cold):
            pass
    ours = load_settings(tmp_path / "ours" / "node.toml", environment={})
    assert (ours.archive.recent_bytes == 0) == cold
    assert ours.policy.rules[0].name == "kwavelet"
    assert asked[1].get("MaximumStorageCacheSize") == (0 if cold else None)
