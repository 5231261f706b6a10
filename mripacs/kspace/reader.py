"""fastMRI's HDF5 files: k-space slice by slice, its header and attributes (fastMRI, arXiv:1811.08839, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import KspaceError, SettingsError
from mripacs.kspace.header import ScanHeader, parse_header

if TYPE_CHECKING:
    import h5py

MAX_SLICE_SAMPLES = 1 << 27  # complex numbers of one slice, 1 GiB; fastMRI's largest has 20 coils of 768 x 396


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One file: what was scanned, and its k-space on demand. Valid while the file is open."""

    path: Path
    header: ScanHeader
    header_text: bytes
    patient_id: str
    sequence: str  # attribute `acquisition`: AXT2, CORPD_FBK, ...
    undersampled: bool  # the file has a `mask` that leaves lines out
    slices: int
    coils: int  # 1 for single-coil files
    _kspace: Any  # h5py.Dataset

    def kspace(self, index: int) -> NDArray[np.complex64]:
        """Slice `index` as (coils, readout, phase) complex64. Raises KspaceError where the file is damaged."""
        try:
            values = np.asarray(self._kspace[index], np.complex64)
        except (OSError, RuntimeError) as error:
            raise KspaceError(f"{self.path}: slice {index} cannot be read, the file is truncated or damaged") from error
        if not np.isfinite(values).all():
            raise KspaceError(f"{self.path}: slice {index} holds values that are not finite")
        return values[None] if values.ndim == 2 else values


@contextmanager
def open_acquisition(path: Path) -> Iterator[Acquisition]:
    """A fastMRI file, multi-coil (slices, coils, readout, phase) or single-coil (slices, readout, phase).

    Raises KspaceError for what is no such file, SettingsError without h5py.
    """
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError("k-space files need h5py: pip install 'mripacs[fastmri]'") from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise KspaceError(f"{path} is no HDF5 file, or it is truncated") from error
    with file:
        yield _acquisition(path, file)


def _acquisition(path: Path, file: h5py.File) -> Acquisition:
    kspace = file.get("kspace")
    header_text = _header_text(path, file)
    shape: tuple[int, ...] = getattr(kspace, "shape", ())
    if len(shape) not in (3, 4) or 0 in shape or getattr(kspace, "dtype", np.dtype(int)).kind != "c":
        raise KspaceError(f"{path} has no complex `kspace` of three or four axes; is it a fastMRI file?")
    if np.prod(shape[1:], dtype=np.int64) > MAX_SLICE_SAMPLES:
        raise KspaceError(f"{path}: a slice of {shape[1:]} is larger than {MAX_SLICE_SAMPLES} samples")
    try:
        header = parse_header(header_text)
    except KspaceError as error:
        raise KspaceError(f"{path}: {error}") from error
    _check_spaces(path, header, shape[-2])
    mask = file.get("mask")
    return Acquisition(
        path=path,
        header=header,
        header_text=header_text,
        patient_id=str(file.attrs.get("patient_id", "")),
        sequence=str(file.attrs.get("acquisition", "")),
        undersampled=mask is not None and not np.all(np.asarray(mask)),
        slices=shape[0],
        coils=shape[1] if len(shape) == 4 else 1,
        _kspace=kspace,
    )


def _header_text(path: Path, file: h5py.File) -> bytes:
    found = file.get("ismrmrd_header")
    value = found[()] if found is not None and getattr(found, "shape", None) == () else None
    if not isinstance(value, bytes | str):
        raise KspaceError(f"{path} has no `ismrmrd_header`; is it a fastMRI file?")
    return value.encode() if isinstance(value, str) else bytes(value)


def _check_spaces(path: Path, header: ScanHeader, readout: int) -> None:
    if header.reconstructed.matrix[0] > readout:
        raise KspaceError(
            f"{path}: its header asks for {header.reconstructed.matrix[0]} rows of k-space that has {readout}"
        )
