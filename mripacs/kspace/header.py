"""The ISMRMRD header of a fastMRI file: an XML document with the scan's geometry and protocol."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from mripacs.core.errors import KspaceError

_NAMESPACE = {"i": "http://www.ismrm.org/ISMRMRD"}
_LONGEST = 1 << 20  # bytes; fastMRI's are 5 to 50 KB


@dataclass(frozen=True, slots=True)
class Space:
    """A matrix and what it covers: x is the readout direction, y the phase encoding one, z the slice's thickness."""

    matrix: tuple[int, int, int]  # voxels x, y, z
    field_of_view: tuple[float, float, float]  # mm x, y, z


@dataclass(frozen=True, slots=True)
class ScanHeader:
    """What a DICOM header can say of the scan. Absent texts are empty, absent numbers None."""

    encoded: Space
    reconstructed: Space
    manufacturer: str
    model: str
    institution: str
    field_strength: float | None  # tesla
    resonance_frequency: float | None  # MHz
    protocol: str
    patient_position: str
    study_date: str  # YYYYMMDD
    study_time: str  # HHMMSS
    repetition_time: float | None  # ms
    echo_time: float | None  # ms
    flip_angle: float | None  # degrees
    echo_train_length: int | None


def parse_header(text: bytes) -> ScanHeader:
    """Read an `ismrmrd_header`. Raises KspaceError when it is no such document or lacks its spaces."""
    root = _root(text)
    return ScanHeader(
        encoded=_space(root, "encodedSpace"),
        reconstructed=_space(root, "reconSpace"),
        manufacturer=_text(root, "acquisitionSystemInformation/systemVendor"),
        model=_text(root, "acquisitionSystemInformation/systemModel"),
        institution=_text(root, "acquisitionSystemInformation/institutionName"),
        field_strength=_number(root, "acquisitionSystemInformation/systemFieldStrength_T"),
        resonance_frequency=_megahertz(_number(root, "experimentalConditions/H1resonanceFrequency_Hz")),
        protocol=_text(root, "measurementInformation/protocolName"),
        patient_position=_text(root, "measurementInformation/patientPosition").upper(),
        study_date=_text(root, "studyInformation/studyDate").replace("-", ""),
        study_time=_text(root, "studyInformation/studyTime").replace(":", ""),
        repetition_time=_number(root, "sequenceParameters/TR"),
        echo_time=_number(root, "sequenceParameters/TE"),
        flip_angle=_number(root, "sequenceParameters/flipAngle_deg"),
        echo_train_length=_whole(_number(root, "encoding/echoTrainLength")),
    )


def _root(text: bytes) -> ET.Element:
    if len(text) > _LONGEST:
        raise KspaceError(f"its ismrmrd_header has {len(text)} bytes, {_LONGEST} at most are read")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # entities multiply: a kilobyte becomes gigabytes
        raise KspaceError("its ismrmrd_header declares entities, which no ISMRMRD header does")
    try:
        return ET.fromstring(text)  # noqa: S314 - no entities, bounded length: see above
    except ET.ParseError as error:
        raise KspaceError(f"its ismrmrd_header is no XML document: {error}") from error


def _space(root: ET.Element, name: str) -> Space:
    matrix = [_number(root, f"encoding/{name}/matrixSize/{axis}") for axis in "xyz"]
    view = [_number(root, f"encoding/{name}/fieldOfView_mm/{axis}") for axis in "xyz"]
    x, y, z = (_whole(value) or 0 for value in matrix)
    if min(x, y, z) < 1 or not all(value is not None and value > 0 for value in view):
        raise KspaceError(f"its ismrmrd_header has no usable matrix size and field of view in encoding/{name}")
    wide, high, deep = (value or 0.0 for value in view)
    return Space((x, y, z), (wide, high, deep))


def _text(root: ET.Element, path: str) -> str:
    found = root.find("/".join(f"i:{part}" for part in path.split("/")), _NAMESPACE)
    return (found.text or "").strip() if found is not None else ""


def _number(root: ET.Element, path: str) -> float | None:
    text = _text(root, path)
    try:
        return float(text) if text else None
    except ValueError as error:
        raise KspaceError(f"its ismrmrd_header has {text[:20]!r} for {path}") from error


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _megahertz(hertz: float | None) -> float | None:
    return None if hertz is None else hertz / 1e6
