"""MR Image objects that this project makes itself (PS3.3 A.4), from stored values and what is known of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from mripacs.core.model import ReceivedObject
from mripacs.dicom.datasets import from_dataset
from mripacs.dicom.dictionary import vr_of

LONGEST_TEXT = {"LO": 64, "SH": 16, "CS": 16}  # characters (PS3.5 6.2)


@dataclass(frozen=True, slots=True)
class MrSlice:
    """One reconstructed slice."""

    pixels: NDArray[np.uint16]  # (rows, columns), stored values
    number: int  # Instance Number
    rescale_slope: str  # DS: value = stored value * slope
    pixel_spacing: tuple[float, float]  # mm between rows, between columns
    slice_thickness: float  # mm
    orientation: tuple[float, ...]  # Image Orientation (Patient), six direction cosines
    position: tuple[float, float, float]  # Image Position (Patient), mm
    patient_id: str
    attributes: Mapping[str, object]  # more elements by keyword; None leaves one out


def build_mr_image(image: MrSlice, uids: Mapping[str, str]) -> ReceivedObject:
    """The slice as an MR Image object to store, Image Type DERIVED\\PRIMARY, Explicit VR Little Endian.

    uids : Study, Series and SOP Instance UID and Frame of Reference UID by keyword.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in (_fixed() | dict(uids) | _of_the_slice(image) | dict(image.attributes)).items():
        if value is not None:
            setattr(dataset, keyword, _valid(keyword, value))
    dataset.Rows, dataset.Columns = image.pixels.shape
    dataset.PixelData = np.ascontiguousarray(image.pixels, "<u2").tobytes()
    return from_dataset(dataset)


def _fixed() -> dict[str, object]:
    """What all our images have in common; type 2 elements that nobody knows are empty."""
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": MRImageStorage,
        "ImageType": ["DERIVED", "PRIMARY", "OTHER"],
        "Modality": "MR",
        "PatientName": "",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDate": "",
        "StudyTime": "",
        "StudyID": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesNumber": 1,
        "Laterality": "",  # the file does not say of which side a paired part is
        "PositionReferenceIndicator": "",
        "ScanningSequence": "RM",  # research mode: the raw file does not say which
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "EchoTime": "",
        "EchoTrainLength": "",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleIntercept": "0",
        "RescaleType": "US",  # unspecified (PS3.3 C.11.1.1.2)
    }


def _of_the_slice(image: MrSlice) -> dict[str, object]:
    return {
        "PatientID": image.patient_id,
        "InstanceNumber": image.number,
        "RescaleSlope": image.rescale_slope,
        "PixelSpacing": list(image.pixel_spacing),
        "SliceThickness": image.slice_thickness,
        "ImageOrientationPatient": list(image.orientation),
        "ImagePositionPatient": list(image.position),
    }


def _valid(keyword: str, value: object) -> object:
    """The value as its VR takes it: numbers of DS in 16 characters, texts cut to their length."""
    vr = vr_of(keyword)
    if vr == "DS":
        return [_decimal(each) for each in value] if isinstance(value, list) else _decimal(value)
    if isinstance(value, str) and vr in LONGEST_TEXT:
        return value[: LONGEST_TEXT[vr]]
    return value


def _decimal(value: object) -> str:
    return format_number_as_ds(value) if isinstance(value, float | int) else str(value)
