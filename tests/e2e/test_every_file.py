"""Every file of the dev set through DCMTK's storescu into the node, and back by movescu and getscu."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID

from mripacs.store.certificates import unpack
from tests.e2e import dcmtk
from tests.e2e.lossy_marks import DERIVATION_TAGS, check_marks
from tests.e2e.part10_files import as_implicit, by_uid, differences

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of odd files, in our oracle
UIDS_PER_COMMAND = 100  # a UID list of this many stays a short command line


@pytest.fixture(scope="module")
def studies(whole_node):
    """Every Study Instance UID, as one list of UIDs."""
    found = {str(dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID) for path in whole_node.sent}
    return "\\".join(sorted(found))


@pytest.fixture(scope="module")
def moved(whole_node, studies):
    """By SOP Instance UID, what movescu brought to a storescp that takes every transfer syntax."""
    dcmtk.movescu(whole_node.node.port, "ALL", "STUDY", StudyInstanceUID=studies)
    return by_uid(whole_node.everything.files())


@pytest.fixture(scope="module")
def fetched(whole_node, studies, tmp_path_factory):
    """By SOP Instance UID, what getscu brought, which takes uncompressed transfer syntaxes only."""
    folder = tmp_path_factory.mktemp("fetched")
    dcmtk.getscu(whole_node.node.port, folder, "STUDY", StudyInstanceUID=studies)
    return by_uid(folder.iterdir())


@pytest.fixture(scope="module")
def served(whole_node):
    """Served UIDs by the ones that were sent, as the index has them."""
    return {uid: row["sop_instance_uid"] for uid, row in whole_node.certificates.items()}


@pytest.fixture(scope="module")
def exact(whole_node):
    """UIDs of instances whose received bytes come back."""
    return [uid for uid, row in whole_node.certificates.items() if unpack(row["certificate"])["restores_received"]]


def test_every_file_is_stored_under_its_uid(whole_node):
    assert set(whole_node.certificates) == set(whole_node.originals)
    assert len(whole_node.originals) == len(whole_node.sent)
    assert [path.name[5:] for path in whole_node.unread_by_dcmtk] == ["MR_truncated.dcm"]


def test_movescu_and_getscu_bring_every_instance(whole_node, moved, fetched, served):
    assert set(moved) == set(served.values())
    assert set(fetched) == set(served.values())


def test_the_set_holds_every_tier(whole_node, exact):
    tiers = [row["tier"] for row in whole_node.certificates.values()]
    assert min(tiers.count(tier) for tier in ("kwavelet", "lossless", "verbatim")) > 0
    assert len(exact) >= 10
    assert len(whole_node.sent_as_lossy()) > 100


def test_exact_instances_come_back_byte_for_byte(whole_node, moved, exact):
    for uid in exact:
        assert moved[uid].dataset_bytes == whole_node.witnessed[uid].dataset_bytes, whole_node.originals[uid].path
        assert moved[uid].transfer_syntax == whole_node.witnessed[uid].transfer_syntax


def test_exact_instances_keep_every_value_in_another_transfer_syntax(whole_node, fetched, exact):
    for uid in exact:
        sent, got = dcmread(whole_node.witnessed[uid].path), dcmread(fetched[uid].path)
        assert not UID(fetched[uid].transfer_syntax).is_compressed
        assert differences(sent, got) == [], whole_node.originals[uid].path
        if whole_node.certificates[uid]["tier"] != "verbatim":
            assert np.array_equal(sent.pixel_array, got.pixel_array), whole_node.originals[uid].path


def test_instances_without_loss_bear_no_marks(whole_node, fetched, served):
    for uid in set(whole_node.certificates) - set(whole_node.sent_as_lossy()):
        assert served[uid] == uid
        sent, got = dcmread(whole_node.witnessed[uid].path), dcmread(fetched[uid].path)
        assert differences(sent, got) == [], whole_node.originals[uid].path


def test_lossy_instances_are_within_the_bound(whole_node, fetched, served):
    for uid in whole_node.sent_as_lossy():
        sent = frames_of(dcmread(whole_node.witnessed[uid].path))
        got = frames_of(dcmread(fetched[served[uid]].path))
        assert sent.shape == got.shape
        for before, after in zip(sent, got, strict=True):
            assert np.linalg.norm(before - after) <= 0.05 * np.linalg.norm(before) * (1 + 1e-12)
        assert not np.array_equal(sent, got)


def test_lossy_instances_bear_their_marks_and_keep_all_else(whole_node, moved, fetched, served):
    for uid in whole_node.sent_as_lossy():
        sent = dcmread(whole_node.witnessed[uid].path)
        for got in (dcmread(moved[served[uid]].path), dcmread(fetched[served[uid]].path)):
            check_marks(sent, got)
            assert differences(sent, got, DERIVATION_TAGS) == [], whole_node.originals[uid].path


def test_an_implicit_only_destination_gets_the_same_values(whole_node, moved, served, studies):
    """All but the object that ends inside its pixels: it can leave only as it came."""
    dcmtk.movescu(whole_node.node.port, "IMPLICIT", "STUDY", ok=(0, 68), StudyInstanceUID=studies)
    arrived = by_uid(whole_node.implicit_only.files())
    unreadable = set(by_uid(whole_node.unread_by_dcmtk))
    assert set(arrived) == set(served.values()) - unreadable
    for uid, part in arrived.items():
        assert part.transfer_syntax == "1.2.840.10008.1.2"
        assert differences(as_implicit(dcmread(moved[uid].path)), dcmread(part.path)) == [], part.path


def test_original_uids_find_derived_instances(whole_node, fetched, served, tmp_path):
    uids = whole_node.sent_as_lossy()[:UIDS_PER_COMMAND]
    dcmtk.getscu(whole_node.node.port, tmp_path / "got", "IMAGE", SOPInstanceUID="\\".join(uids))
    got = by_uid((tmp_path / "got").iterdir())
    assert set(got) == {served[uid] for uid in uids}
    assert all(part.dataset_bytes == fetched[uid].dataset_bytes for uid, part in got.items())


def frames_of(dataset):
    """Stored values, (frames, rows, columns), in float64."""
    pixels = dataset.pixel_array.astype(np.float64)
    return pixels.reshape(-1, *pixels.shape[-2:])
