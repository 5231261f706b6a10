"""Slices to train and to judge on: frames of DICOM files and of NIfTI volumes, labelled by the series they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import ModelError, MripacsError
from mripacs.dicom import index, part10, pixels, scan, transfer_syntax

MAX_BYTES = 1 << 29  # of an inflated data set
SMALLEST_SIDE = 32  # of a slice with something to see in it
VOLUME_SUFFIXES = (".nii", ".nii.gz")
_EDGE_SHARE = 10  # the first and last tenth of a volume's planes show little
_EVERY_PLANE = 2


@dataclass(frozen=True, slots=True)
class LabelledSlice:
    """One image and where it comes from."""

    pixels: NDArray[Any]  # (rows, columns), stored values
    label: str
    series: str  # hexadecimal digest of the Series Instance UID or of the volume: a card names no patient's UID


def from_files(items: Iterable[tuple[str, Path]]) -> Iterator[LabelledSlice]:
    """Frames of grey images; files that are none are passed over. Constant and tiny frames are left out."""
    for label, path in items:
        try:
            found = _volume(label, path) if path.name.endswith(VOLUME_SUFFIXES) else _dicom(label, path)
            yield from (each for each in found if is_usable(each.pixels))
        except MripacsError:
            continue  # a folder of images holds other files too


def is_usable(frame: NDArray[Any]) -> bool:
    """Whether there is something to see: two sides of SMALLEST_SIDE pixels, and not one value throughout."""
    return frame.ndim == 2 and min(frame.shape) >= SMALLEST_SIDE and bool(frame.min() < frame.max())


def series_key(uid: str) -> str:
    """How a series is named in a card."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


def _dicom(label: str, path: Path) -> Iterator[LabelledSlice]:
    received = part10.read_part10(path)
    syntax = received.transfer_syntax
    dataset = transfer_syntax.plain(received.dataset, syntax, MAX_BYTES)
    dataset_map = scan.scan(dataset, syntax)
    attributes = index.index_attributes(dataset, dataset_map, syntax)
    description = pixels.describe(dataset, dataset_map, syntax)
    if attributes.series.get("Modality") != "MR" or description.samples != 1:
        return
    series = series_key(str(attributes.series["SeriesInstanceUID"]))
    for number, frame in enumerate(pixels.decode_frames(dataset, dataset_map, syntax, description), 1):
        for place, tile in enumerate(_tiles(frame, attributes.instance)):
            yield LabelledSlice(tile, f"{label} {number}.{place}", series)


def _tiles(frame: NDArray[Any], attributes: Any) -> Iterator[NDArray[Any]]:
    """The slices of a Siemens mosaic, square tiles of 64 pixels that are not all zero; any other frame as it is."""
    if "MOSAIC" not in str(attributes.get("ImageType", "")).upper():
        yield frame
        return
    for top in range(0, frame.shape[0] - _TILE + 1, _TILE):
        for left in range(0, frame.shape[1] - _TILE + 1, _TILE):
            tile = frame[top : top + _TILE, left : left + _TILE]
            if tile.any():
                yield tile


_TILE = 64


def _volume(label: str, path: Path) -> Iterator[LabelledSlice]:
    """Planes of a NIfTI volume across each axis, every second one; of a time series the first volume's.

    Raises ModelError without nibabel, or for damage.
    """
    try:
        import nibabel  # noqa: PLC0415 - the extra "demo" has it

        volume = np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
    except ImportError as error:
        raise ModelError("NIfTI volumes need nibabel: pip install 'mripacs[demo]'") from error
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{label} is no NIfTI volume: {error}") from error
    volume = volume[..., 0] if volume.ndim == 4 and volume.shape[3] else volume
    if volume.ndim != 3:
        return
    series = hashlib.sha256(np.ascontiguousarray(volume).tobytes()).hexdigest()[:16]
    for axis, length in enumerate(volume.shape):
        for place in range(length // _EDGE_SHARE, length - length // _EDGE_SHARE, _EVERY_PLANE):
            plane = np.rot90(np.take(volume, place, axis)).astype(np.float32)
            yield LabelledSlice(plane, f"{label} axis {axis} plane {place}", series)
