"""`mripacs bench busy`: it stores, probes and tells; the bar itself is for a machine that does nothing else."""

from __future__ import annotations

from mripacs.cli.node_bench.busy import Answers
from tests.cli.conftest import mripacs
from tests.e2e.objects import mr_object, written

__all__ = ["mripacs"]  # a fixture of others

LONG = "1.2.826.0.1.3680043.9.7."  # a UID that the copies' fit into


def test_answers_while_associations_store(mripacs, tmp_path):
    for number in range(4):
        uids = {"StudyInstanceUID": f"{LONG}100", "SeriesInstanceUID": f"{LONG}1"}
        written(mr_object(InstanceNumber=number, **uids), tmp_path / f"{number}.dcm")
    found = mripacs("bench", "busy", tmp_path, "--associations", "4", "--seconds", "3", "--json").json
    (ours,) = found["servers"]
    assert ours["stored"] > 0
    assert ours["refused"] == 0
    assert set(ours["requests"]) == {"C-ECHO, new association", "C-ECHO, kept association", "GET /healthz"}
    for of in ours["requests"].values():
        assert of["failed"] == 0
        assert 0 < of["p50_ms"] <= of["p99_ms"] <= of["longest_ms"]


def test_quantiles():
    answers = Answers([0.3, 0.1, 0.2, 0.4])
    assert [answers.quantile(share) for share in (0.0, 0.5, 0.99, 1.0)] == [0.1, 0.3, 0.4, 0.4]
    assert Answers().quantile(0.99) == 0.0
