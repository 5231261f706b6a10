"""Eight associations at once with the same objects: one copy each, every sender is told success."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage, RLELossless

from tests.e2e import dcmtk
from tests.e2e.objects import encoded, mr_object, smooth_image, written
from tests.e2e.raw_association import RawAssociation

SENDERS, OBJECTS, CONFLICT = 8, 10, 0xC111


def test_overlapping_objects_are_stored_once(start_node, tmp_path):
    node = start_node(workers=2)
    first = mr_object()
    same = {"StudyInstanceUID": first.StudyInstanceUID, "SeriesInstanceUID": first.SeriesInstanceUID}
    files = [written(mr_object(InstanceNumber=n, **same), tmp_path / f"{n}.dcm") for n in range(OBJECTS)]
    node.sent.extend(files)
    orders = [files[n % OBJECTS :] + files[: n % OBJECTS] for n in range(SENDERS)]
    with ThreadPoolExecutor(SENDERS) as senders:
        outputs = list(senders.map(lambda order: dcmtk.storescu(node.port, order), orders))
    assert sum(output.count("Received Store Response (Success)") for output in outputs) == SENDERS * OBJECTS
    rows = node.row_counts()
    assert (rows["study"], rows["series"], rows["instance"], rows["payload"]) == (1, 1, OBJECTS, OBJECTS)
    said = Counter(word for word in ("stored", "duplicate") for line in node.log.splitlines() if f": {word} " in line)
    assert said == {"stored": OBJECTS, "duplicate": (SENDERS - 1) * OBJECTS}


@pytest.mark.parametrize(
    "change", [{"PatientID": "OTHER"}, {"PixelData": (smooth_image() + 1).tobytes()}], ids=["header", "pixels"]
)
def test_another_object_under_a_stored_uid_is_refused(shared_node, change):
    stored = mr_object()
    uid = stored.SOPInstanceUID
    other = mr_object(**{element.keyword: element.value for element in stored} | change)
    with RawAssociation(shared_node.port, [(MRImageStorage, ExplicitVRLittleEndian)]) as association:
        assert association.store(1, MRImageStorage, uid, encoded(stored)).status == 0
        before, rows = shared_node.certificates()[uid], shared_node.row_counts()
        assert association.store(1, MRImageStorage, uid, encoded(other)).status == CONFLICT
        assert association.store(1, MRImageStorage, uid, encoded(stored)).status == 0
    assert shared_node.certificates()[uid] == before
    assert shared_node.row_counts() == rows


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=["implicit", "RLE", "JPEG 2000"]
)
@pytest.mark.parametrize("image_type", ["M", "PHASE MAP"], ids=["lossy", "lossless"])
def test_the_same_object_in_another_transfer_syntax(shared_node, tmp_path, syntax, image_type):
    dataset = mr_object(ImageType=["ORIGINAL", "PRIMARY", image_type])
    plain = written(dataset, tmp_path / "plain.dcm")
    other = tmp_path / "other.dcm"
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(other)
    else:
        written(mr_object(**{element.keyword: element.value for element in dataset}), other, syntax)
    shared_node.sent.append(plain)
    dcmtk.storescu(shared_node.port, [plain])
    rows = shared_node.row_counts()
    dcmtk.storescu(shared_node.port, [other], dcmtk.PROPOSALS[str(syntax)])
    assert shared_node.row_counts() == rows
    assert shared_node.certificates()[dataset.SOPInstanceUID]["generation"] == (
        "first loss" if image_type == "M" else "lossless"
    )


def test_what_came_out_goes_in_again_as_a_duplicate(shared_node, tmp_path):
    """The derived instance, sent back to the node that made it, is recognised."""
    dataset = mr_object(PixelData=np.roll(smooth_image(), 3, axis=1).tobytes())
    file = written(dataset, tmp_path / "one.dcm")
    shared_node.sent.append(file)
    dcmtk.storescu(shared_node.port, [file])
    dcmtk.getscu(shared_node.port, tmp_path / "got", "IMAGE", SOPInstanceUID=dataset.SOPInstanceUID)
    rows = shared_node.row_counts()
    dcmtk.storescu(shared_node.port, list((tmp_path / "got").iterdir()))
    assert shared_node.row_counts() == rows
