"""A reconstructed acquisition as a series of MR Image objects (PS3.3 A.4), the same ones for the same file."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import KspaceError
from mripacs.core.model import ReceivedObject
from mripacs.dicom.mr_image import MrSlice, build_mr_image
from mripacs.kspace.header import ScanHeader
from mripacs.kspace.reader import Acquisition
from mripacs.kspace.reconstruct import reconstruct

LARGEST = 65535  # stored values use all 16 bits: the noise of a magnitude image is far below 1/65535 of its maximum
_NAMESPACE = uuid.UUID("6a1f0b7e-5d8c-4c1e-9a43-0c5a3d2f7e61")  # ours, drawn once: changing it renames every series
_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # fastMRI's headers have none; axial, as a viewer shows it


def series_of(acquisition: Acquisition) -> Iterator[ReceivedObject]:
    """Every slice as an object to store, in order. The file is read twice: the scale is the whole series' own.

    Stored values are magnitudes over Rescale Slope, which is the largest magnitude of the series over 65535. UIDs
    depend on the header and on the k-space. Raises KspaceError for a damaged file and for k-space that is all zero.
    """
    slope, digest = _slope_and_digest(acquisition)
    study, series, frame_of_reference = (_uid(digest, part) for part in ("study", "series", "frame of reference"))
    for index in range(acquisition.slices):
        stored = np.minimum(np.rint(_image(acquisition, index) / np.float64(slope)), LARGEST).astype(np.uint16)
        uids = {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "SOPInstanceUID": _uid(digest, f"slice {index}"),
            "FrameOfReferenceUID": frame_of_reference,
        }
        yield replace(build_mr_image(_slice(acquisition, index, stored, slope), uids), source="import")


def _slope_and_digest(acquisition: Acquisition) -> tuple[str, str]:
    """Rescale Slope as the DS that is written (its rounding is never below the true one), and what names the file."""
    digest, largest = hashlib.sha256(acquisition.header_text), 0.0
    for index in range(acquisition.slices):
        digest.update(acquisition.kspace(index).tobytes())
        largest = max(largest, float(_image(acquisition, index).max()))
    if not 0 < largest < math.inf:
        raise KspaceError(f"{acquisition.path}: its k-space is all zero")
    slope = largest / LARGEST
    text = f"{slope:.9e}"  # 15 characters; DS has at most 16
    return (text if float(text) >= slope else f"{slope * (1 + 1e-9):.9e}"), digest.hexdigest()


def _image(acquisition: Acquisition, index: int) -> NDArray[np.float32]:
    x, y, _ = acquisition.header.reconstructed.matrix
    return reconstruct(acquisition.kspace(index), rows=x, columns=y)


def _slice(acquisition: Acquisition, index: int, stored: NDArray[np.uint16], slope: str) -> MrSlice:
    header = acquisition.header
    spacing = _spacing(header)
    thickness = header.reconstructed.field_of_view[2] / header.reconstructed.matrix[2]
    rows, columns = stored.shape
    return MrSlice(
        pixels=stored,
        number=index + 1,
        rescale_slope=slope,
        pixel_spacing=spacing,
        slice_thickness=thickness,
        orientation=_ORIENTATION,
        position=(
            -spacing[1] * (columns - 1) / 2,
            -spacing[0] * (rows - 1) / 2,
            thickness * (index - (acquisition.slices - 1) / 2),
        ),
        patient_id=acquisition.patient_id,
        attributes=_attributes(acquisition),
    )


def _spacing(header: ScanHeader) -> tuple[float, float]:
    """mm between rows (readout, x) and between columns (phase, y)."""
    (x, y, _), (wide, high, _) = header.reconstructed.matrix, header.reconstructed.field_of_view
    return wide / x, high / y


def _attributes(acquisition: Acquisition) -> dict[str, object]:
    """What the ISMRMRD header says, under the DICOM keywords; None where it says nothing."""
    header = acquisition.header
    sampling = "undersampled k-space, zero filled" if acquisition.undersampled else "fully sampled k-space"
    return {
        "StudyDate": header.study_date,
        "StudyTime": header.study_time,
        "Manufacturer": header.manufacturer,
        "ManufacturerModelName": header.model or None,
        "InstitutionName": header.institution or None,
        "MagneticFieldStrength": header.field_strength,
        "ImagingFrequency": header.resonance_frequency,
        "ImagedNucleus": "1H",
        "ProtocolName": header.protocol or None,
        "SeriesDescription": acquisition.sequence or header.protocol or "fastMRI",
        "PatientPosition": header.patient_position,
        "RepetitionTime": header.repetition_time,
        "EchoTime": header.echo_time,
        "FlipAngle": header.flip_angle,
        "EchoTrainLength": header.echo_train_length,
        "ReceiveCoilName": f"{acquisition.coils} coils",
        "DerivationDescription": f"Root sum of squares of {acquisition.coils} coils, {sampling}",
    }


def _uid(digest: str, part: str) -> str:
    """A UID of the 2.25 kind (PS3.5 B.2) that depends on the file's contents."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{digest} {part}').int}"
