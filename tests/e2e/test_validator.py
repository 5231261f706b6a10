"""dciodvfy on what getscu brought back: it says nothing that it did not say of the input."""

from __future__ import annotations

import re
import subprocess

import pytest
from pydicom import dcmread

from tests.e2e import dcmtk
from tests.e2e.part10_files import by_uid
from tests.real_parts import program

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of odd files, in our oracle


@pytest.fixture(scope="module")
def pairs(whole_node, tmp_path_factory):
    """Input and output of one lossy instance of each series."""
    chosen = {}
    for uid in sorted(whole_node.sent_as_lossy()):
        header = dcmread(whole_node.witnessed[uid].path, stop_before_pixels=True)
        chosen.setdefault((header.SeriesInstanceUID, header.Rows, whole_node.witnessed[uid].transfer_syntax), uid)
    folder = tmp_path_factory.mktemp("validated")
    dcmtk.getscu(whole_node.node.port, folder, "IMAGE", SOPInstanceUID="\\".join(chosen.values()))
    got = by_uid(folder.iterdir())
    return [
        (whole_node.originals[uid].path, got[whole_node.certificates[uid]["sop_instance_uid"]].path)
        for uid in chosen.values()
    ]


# What follows from being an honest lossy result, and can only be left out by lying.
INHERENT = (
    # A private term: PS3.3 C.7.6.1.1.5.1 has none for wavelets that are not JPEG 2000.
    r"Unrecognized defined term <MRIPACS_KWAVELET> for value \d of attribute <Lossy Image Compression Method>",
    # The validator wants it in ORIGINAL images only; dropping it from a DERIVED one would lose data.
    r"Attribute present when condition unsatisfied .* Element=<MRAcquisitionType> Module=<MRPulseSequence>",
)


def test_nothing_new_is_wrong(pairs):
    assert len(pairs) >= 12
    new = {after.name: new_complaints(before, after) for before, after in pairs}
    assert {name: found for name, found in new.items() if found} == {}


def test_the_validator_would_see_a_missing_mark(pairs, tmp_path):
    """Without Image Type and with a wrong flag dciodvfy complains: the test above can fail."""
    before, after = pairs[0]
    damaged = dcmread(after)
    damaged.LossyImageCompression = "07"
    del damaged.ImageType
    damaged.save_as(tmp_path / "damaged.dcm")
    assert new_complaints(before, tmp_path / "damaged.dcm")


def new_complaints(before, after):
    """What is said of `after` and neither of `before` nor of every lossy result."""
    new = complaints(after) - complaints(before)
    return {line for line in new if not any(re.search(known, line) for known in INHERENT)}


def complaints(path):
    """Errors and warnings of dciodvfy, without the values that differ from instance to instance."""
    done = subprocess.run(
        [program("dciodvfy"), path], capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Error", "Warning"))]
    illegal_root = r"(Illegal root for UID).*"  # a reference to the original repeats what is wrong with its UID
    return {re.sub(illegal_root, r"\1", re.sub(r"[0-9.]{8,}|= <[^>]*>", "#", line)) for line in lines}
