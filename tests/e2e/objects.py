"""DICOM objects made for a test: small, valid, each under UIDs of its own, and their bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

ROWS, COLUMNS = 32, 40


IMAGE_KEYWORDS = (
    *("ImageType", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
)


def smooth_image() -> np.ndarray:
    """An image with structure that compresses, (32, 40) uint16."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    return (1000 + 600 * np.sin(x / 6.0) + 300 * np.cos(y / 5.0)).astype("<u2")


def mr_object(**changes: Any) -> Dataset:
    """An MR Image object with a fresh SOP Instance UID; changes by keyword, None leaves the element out."""
    values = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": generate_uid(),
        "StudyDate": "20200102",
        "StudyTime": "101112",
        "AccessionNumber": "",
        "Modality": "MR",
        "PatientName": "Nobody^Made",
        "PatientID": "MADE-4711",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "StudyID": "",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": smooth_image().tobytes(),
    } | changes
    dataset = Dataset()
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def object_without_pixels(sop_class_uid: str, **changes: Any) -> Dataset:
    """An object of another kind, as SR, KO and PR are: no pixels, a sequence, a private element."""
    dataset = mr_object(SOPClassUID=sop_class_uid, **dict.fromkeys(IMAGE_KEYWORDS), **changes)
    reference = Dataset()
    reference.ReferencedSOPClassUID = MRImageStorage
    reference.ReferencedSOPInstanceUID = generate_uid()
    dataset.ReferencedImageSequence = [reference]
    dataset.private_block(0x0099, "MADE FOR A TEST", create=True).add_new(1, "OB", b"\x01\x02\x03\x04")
    return dataset


def encoded(dataset: Dataset, *, implicit: bool = False, little: bool = True) -> bytes:
    """A data set's bytes, without preamble and file meta information."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def written(dataset: Dataset, path: Path, transfer_syntax: str = ExplicitVRLittleEndian) -> Path:
    """The data set as a Part 10 file; gives its path."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path
