"""Under a policy without loss, every file of the dev set comes back byte for byte (G3)."""

from __future__ import annotations

import pytest

import mripacs
from mripacs.core.model import Tier
from tests.e2e.part10_files import Part10, copies_with_own_uids

POLICIES = ["lossless", "verbatim"]


@pytest.mark.parametrize("keep", POLICIES)
def test_every_byte_comes_back(tmp_path, dev_files, keep):
    flags = {"archive": {"directory": tmp_path / "archive"}, "policy": {"rules": [{"name": "exact", "keep": keep}]}}
    copies = copies_with_own_uids(dev_files, tmp_path / "in")
    with mripacs.Archive.open(settings=mripacs.load_settings(flags=flags, environment={})) as archive:
        for path in copies:
            part, receipt = Part10.read(path), archive.store(path)
            assert receipt.certificate.tier in (Tier(keep), Tier.VERBATIM)
            assert receipt.certificate.restores_received, path
            outgoing = archive.fetch_encoded(part.sop_instance_uid)
            assert outgoing.dataset == part.dataset_bytes, path
            assert outgoing.transfer_syntax == part.transfer_syntax
        statistics = archive.statistics()
        assert statistics.instances == len(dev_files)
        kept = statistics.payload_bytes + statistics.header_bytes + statistics.reference_bytes
        assert kept < statistics.received_bytes
