"""A data set in another transfer syntax, without loss (PS3.5 10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from mripacs.core.errors import PixelDataError, RefusedError, TranscodeError
from mripacs.dicom.decode import decode_with_properties
from mripacs.dicom.encode import Element
from mripacs.dicom.pixels import PixelDescription, decode_frames, describe
from mripacs.dicom.reencode import reencode
from mripacs.dicom.scan import PIXEL_DATA, DatasetMap, scan
from mripacs.dicom.transfer_syntax import (
    DEFLATED,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    NATIVE_SYNTAXES,
    deflate,
    dialect_of,
    is_deflated,
    is_encapsulated,
    plain,
)

__all__ = ["EXPLICIT_VR_LITTLE_ENDIAN", "native_pixels", "targets_for", "transcode"]

MAX_INFLATED_BYTES = 880_000_000  # LimitSettings.max_object_bytes's default: what came in under it can leave again

PHOTOMETRIC_INTERPRETATION = 0x00280004
PLANAR_CONFIGURATION = 0x00280006
EXTENDED_OFFSET_TAGS = (0x7FE00001, 0x7FE00002, 0x7FE00003)  # tables and length of encapsulated values only


def targets_for(transfer_syntax: str) -> tuple[str, ...]:
    """The transfer syntaxes that a data set in `transfer_syntax` can be written in, best first, itself in front.

    Whether an encapsulated one can really leave natively shows when its pixels are decoded: `transcode` raises then.
    """
    native = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, DEFLATED, EXPLICIT_VR_BIG_ENDIAN)
    return (transfer_syntax, *(target for target in native if target != transfer_syntax))


def transcode(dataset: bytes, source_syntax: str, target_syntax: str) -> bytes:
    """The data set in `target_syntax`; both sides are bytes as they go over the wire, deflated ones deflated.

    The same syntax gives the same bytes. Between native syntaxes every element keeps its value; VRs that implicit VR
    does not carry come from PS3.6, private ones become UN. Encapsulated pixels are decoded to native ones, colour as
    pydicom does it: YBR becomes RGB, by pixel. Group lengths, duplicates and bytes after the last element go.
    Raises TranscodeError for every other pair, and for data sets whose pixels or sequences cannot be understood.
    """
    if source_syntax == target_syntax:
        return dataset
    if target_syntax not in NATIVE_SYNTAXES:
        raise TranscodeError(f"data sets in {source_syntax} cannot be written in {target_syntax}")
    try:
        bare = plain(dataset, source_syntax, MAX_INFLATED_BYTES)
        dataset_map = scan(bare, source_syntax)
    except RefusedError as error:
        raise TranscodeError(f"the data set cannot be read: {error}") from error
    written = reencode(bare, dataset_map, dialect_of(target_syntax), native_pixels(bare, dataset_map))
    return deflate(written) if is_deflated(target_syntax) else written


def native_pixels(dataset: bytes, dataset_map: DatasetMap) -> dict[int, Element | None]:
    """The elements that replace encapsulated pixels by native ones; none when they are native already.

    Raises TranscodeError when the pixels cannot be decoded or the data set ends inside them.
    """
    pixel = dataset_map.pixel
    if pixel is None:
        return {}
    if pixel.truncated:
        raise TranscodeError("the data set ends inside its Pixel Data")
    if pixel.encapsulated != is_encapsulated(dataset_map.transfer_syntax):
        raise TranscodeError("Pixel Data is encapsulated, or not, against the transfer syntax")
    if not pixel.encapsulated:
        return {}
    try:
        description = describe(dataset, dataset_map, dataset_map.transfer_syntax)
        return _decoded(dataset, dataset_map, description)
    except PixelDataError as error:
        raise TranscodeError(f"the pixels cannot be decoded: {error}") from error


def _decoded(dataset: bytes, dataset_map: DatasetMap, description: PixelDescription) -> dict[int, Element | None]:
    syntax = dataset_map.transfer_syntax
    replaced: dict[int, Element | None] = dict.fromkeys(EXTENDED_OFFSET_TAGS)
    if description.samples == 1:
        frames = decode_frames(dataset, dataset_map, syntax, description)
    else:
        frames, photometric = _decoded_colour(dataset, dataset_map, description)
        replaced[PHOTOMETRIC_INTERPRETATION] = Element(PHOTOMETRIC_INTERPRETATION, "CS", photometric.encode())
        replaced[PLANAR_CONFIGURATION] = Element(PLANAR_CONFIGURATION, "US", b"\0\0")
    replaced[PIXEL_DATA] = pixel_element(frames)
    return replaced


def _decoded_colour(dataset: bytes, dataset_map: DatasetMap, description: PixelDescription) -> tuple[NDArray[Any], str]:
    """Colour by pixel, and the Photometric Interpretation that it has after decoding."""
    value = dataset[dataset_map.elements[PIXEL_DATA].value_start : dataset_map.elements[PIXEL_DATA].value_end]
    frames, properties = decode_with_properties(value, dataset_map.transfer_syntax, description, raw=False)
    if frames.dtype != description.dtype or frames.nbytes != description.native_bytes:
        raise PixelDataError(
            f"decoded pixels are {frames.shape} {frames.dtype}, not {description.shape} {description.dtype}"
        )
    return frames, str(properties["photometric_interpretation"])


def decoded_colour(
    dataset: bytes, dataset_map: DatasetMap, description: PixelDescription
) -> tuple[NDArray[Any], PixelDescription]:
    """Encapsulated colour frames, by pixel and RGB where they were YBR, and what describes them then.

    Raises PixelDataError when they cannot be decoded.
    """
    frames, photometric = _decoded_colour(dataset, dataset_map, description)
    described = replace(description, photometric=photometric, planar_configuration=0)
    return frames.reshape(described.shape), described


def pixel_element(frames: NDArray[Any]) -> Element:
    """Native Pixel Data of an array in native byte order: OB for 8 bits, OW for 16 (PS3.5 A.2)."""
    little = frames.astype(frames.dtype.newbyteorder("<"), copy=False)
    return Element(PIXEL_DATA, "OB" if frames.dtype.itemsize == 1 else "OW", little.tobytes())
