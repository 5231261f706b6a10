"""MR images that installed packages ship: pydicom's and nibabel's own test files, real acquisitions all of them."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from mripacs.dicom.datasets import from_dataset
from mripacs.dicom.part10 import read_part10

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mripacs.core.model import ReceivedObject

PYDICOM_FILES = ("MR_small.dcm",)  # a Toshiba knee, 64 x 64
NIBABEL_FILES = ("nicom/tests/data/slicethickness_empty_string.dcm",)  # a Siemens projection, 384 x 384, JPEG 2000
NIBABEL_VOLUME = "tests/data/example4d.nii.gz"  # a diffusion-weighted brain, 128 x 96 x 24 voxels, two volumes
NIFTI_HEADER_BYTES = 352  # NIfTI-1: fixed header and the four bytes that say whether an extension follows
VOLUME_SHAPE = (128, 96, 24, 2)  # its dim[1..4]


def shipped_images() -> list[ReceivedObject]:
    """The images as DICOM objects; without nibabel (extra `demo`) only pydicom's."""
    files = [str(get_testdata_file(name, download=False)) for name in PYDICOM_FILES]
    objects = [read_part10(Path(file)) for file in files]
    found = importlib.util.find_spec("nibabel")
    if found is None or found.origin is None:
        return objects
    folder = Path(found.origin).parent
    objects += [read_part10(folder / name) for name in NIBABEL_FILES]
    return objects + _series_of(folder / NIBABEL_VOLUME)


def _series_of(path: Path) -> list[ReceivedObject]:
    """The slices of the example volume as MR Image objects of two series."""
    raw = gzip.decompress(path.read_bytes())
    count = int(np.prod(VOLUME_SHAPE))
    voxels = np.frombuffer(raw, "<i2", count, NIFTI_HEADER_BYTES).reshape(VOLUME_SHAPE, order="F")
    study = generate_uid(entropy_srcs=["mripacs demo", "study"])
    series = [generate_uid(entropy_srcs=["mripacs demo", f"series {number}"]) for number in range(VOLUME_SHAPE[3])]
    return [
        from_dataset(_slice(np.rot90(voxels[:, :, position, volume]), study, series[volume], volume + 1, position + 1))
        for volume in range(VOLUME_SHAPE[3])
        for position in range(VOLUME_SHAPE[2])
    ]


def _slice(pixels: NDArray[Any], study: str, series: str, series_number: int, instance_number: int) -> Dataset:
    """One slice with the attributes that MR Image Storage requires (PS3.3 A.4)."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in {
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": generate_uid(entropy_srcs=["mripacs demo", series, str(instance_number)]),
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "PatientID": "DEMO",
        "PatientName": "Demo^Brain",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyID": "1",
        "StudyDate": "20080101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Modality": "MR",
        "Manufacturer": "nibabel example",
        "SeriesNumber": series_number,
        "InstanceNumber": instance_number,
        "SeriesDescription": "example4d",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "DIFFUSION"],
        "ScanningSequence": "EP",
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "EchoTime": "100",
        "EchoTrainLength": "1",
        "RepetitionTime": "6000",
        "SliceThickness": "2.2",
        "PixelSpacing": ["2", "2"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "ImagePositionPatient": ["0", "0", f"{2.2 * instance_number:.1f}"],
        "FrameOfReferenceUID": study,
        "PositionReferenceIndicator": "",
        "PatientPosition": "HFS",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelData": np.ascontiguousarray(pixels, "<i2").tobytes(),
    }.items():
        setattr(dataset, keyword, value)
    return dataset
