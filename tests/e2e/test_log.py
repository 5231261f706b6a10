"""The check that every node of these tests undergoes at its end: its log names no patient."""

from __future__ import annotations

from tests.e2e.node_process import NodeProcess
from tests.e2e.objects import mr_object, written


def test_a_name_or_an_id_in_the_log_is_found(tmp_path):
    file = written(mr_object(PatientName="Nobody^Made", PatientID="MADE-4711"), tmp_path / "one.dcm")
    node = NodeProcess(tmp_path, sent=[file])
    for said, found in {
        "stored 1.2.3 as 2.25.4711": set(),
        "refused MADE-4711: no": {"MADE-4711"},
        "patient Nobody^Made, MADE-4711": {"Nobody^Made", "MADE-4711"},
    }.items():
        (tmp_path / "node.log").write_text(said)
        assert node.patients_in_log() == found
