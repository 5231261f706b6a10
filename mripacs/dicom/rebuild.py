"""The data set that is served for pixels that do not come back as the bytes that were received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import RefusedError, TranscodeError
from mripacs.core.model import Certificate
from mripacs.dicom.encode import Element
from mripacs.dicom.facts import FRAME_TYPE
from mripacs.dicom.functional_groups import PER_FRAME_FUNCTIONAL_GROUPS, SHARED_FUNCTIONAL_GROUPS
from mripacs.dicom.headers import EXPLICIT
from mripacs.dicom.identity import READ_TAGS, Derivation, derive, derived_type
from mripacs.dicom.pixels import PixelDescription, describe, join, native_value
from mripacs.dicom.reencode import encode_span, encoder_for, reencode
from mripacs.dicom.scan import PIXEL_DATA, DatasetMap, scan
from mripacs.dicom.transcode import EXTENDED_OFFSET_TAGS, PLANAR_CONFIGURATION, pixel_element
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN, is_encapsulated
from mripacs.dicom.walk import Token

DATA_SET_TRAILING_PADDING = 0xFFFCFFFC
_GROUPS = (SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS)


def derived_dataset(
    header: bytes,
    offset: int,
    transfer_syntax: str,
    frames: NDArray[Any],
    certificate: Certificate,
    *,
    payload_bytes: int,
    sop_instance_uid: str,
    original_sop_instance_uid: str,
    sop_class_uid: str,
) -> bytes:
    """The data set with decoded frames, in Explicit VR Little Endian, marked as derived when the certificate is lossy.

    header, offset : of `pixels.cut`, in `transfer_syntax` (never deflated). frames : shaped as `describe` says.
    Private and unknown elements keep their values byte for byte; Rows to Pixel Representation and Photometric
    Interpretation stay. Group lengths, trailing padding and bytes after the last element go. A pure function of its
    arguments. Raises TranscodeError when the header cannot be understood, PixelDataError when frames do not fit it.
    """
    dataset, dataset_map = _with_pixels(header, offset, transfer_syntax, frames)
    replaced: dict[int, Element | None] = dict.fromkeys((*EXTENDED_OFFSET_TAGS, DATA_SET_TRAILING_PADDING))
    if certificate.lossy:
        uids = (sop_class_uid, original_sop_instance_uid, sop_instance_uid)
        derivation = Derivation(*uids, transfer_syntax, certificate, payload_bytes, frames)
        replaced |= derive(_received_elements(dataset, dataset_map), derivation)
    return reencode(dataset, dataset_map, EXPLICIT, replaced | _native_pixels(frames, dataset_map))


@dataclass(frozen=True, slots=True)
class Certified:
    """What a certificate tells of pixels that nobody decoded: takes the place of an array among the marks."""

    description: PixelDescription
    decoded_range: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of all samples."""
        return self.description.native_bytes

    @property
    def dtype(self) -> np.dtype[Any]:
        """Their numpy type."""
        return self.description.dtype

    def min(self) -> int:
        """The smallest."""
        return self.decoded_range[0]

    def max(self) -> int:
        """The largest."""
        return self.decoded_range[1]


def derived_header(
    header: bytes,
    offset: int,
    transfer_syntax: str,
    certificate: Certificate,
    *,
    payload_bytes: int,
    sop_instance_uid: str,
    original_sop_instance_uid: str,
    sop_class_uid: str,
) -> bytes:
    """What `derived_dataset` gives, with an empty Pixel Data: for metadata, without decoding.

    The certificate must know its `decoded_range`. Raises TranscodeError, PixelDataError as `derived_dataset` does.
    """
    try:
        description = describe(header, scan(header, transfer_syntax), transfer_syntax)
        dataset = filled(header, offset, transfer_syntax, description.native_bytes)
        dataset_map = scan(dataset, transfer_syntax)
    except RefusedError as error:
        raise TranscodeError(f"the stored header cannot be read: {error}") from error
    replaced: dict[int, Element | None] = dict.fromkeys((*EXTENDED_OFFSET_TAGS, DATA_SET_TRAILING_PADDING))
    if certificate.lossy and certificate.decoded_range is not None:
        pixels = Certified(description, certificate.decoded_range)
        uids = (sop_class_uid, original_sop_instance_uid, sop_instance_uid)
        derivation = Derivation(*uids, transfer_syntax, certificate, payload_bytes, pixels)
        replaced |= derive(_received_elements(dataset, dataset_map), derivation)
    replaced[PIXEL_DATA] = Element(PIXEL_DATA, "OB" if description.bits_allocated == 8 else "OW", b"")
    return reencode(dataset, dataset_map, EXPLICIT, replaced)


def filled(header: bytes, offset: int, transfer_syntax: str, cut_bytes: int) -> bytes:
    """A header whose pixels were cut out, with zeros in their place, so that elements behind them are found.

    Where there is nothing behind, and for encapsulated pixels, nothing is put in.
    """
    nothing_behind = len(header) == offset
    return header if nothing_behind or is_encapsulated(transfer_syntax) else join(header, offset, bytes(cut_bytes))


def _with_pixels(header: bytes, offset: int, transfer_syntax: str, frames: NDArray[Any]) -> tuple[bytes, DatasetMap]:
    """A data set with all elements but its pixels' value, and its map: the header, or where something stands behind the
    pixels the whole, so that it is found; encapsulated values stay empty."""
    try:
        header_map = scan(header, transfer_syntax)
        description = describe(header, header_map, transfer_syntax, max_samples=max(1, frames.size))
        native = native_value(frames, description, transfer_syntax)
        if len(header) == offset:  # nothing behind: the pixels are replaced, and everything else is mapped already
            return header, header_map
        dataset = join(header, offset, b"" if is_encapsulated(transfer_syntax) else native)
        return dataset, scan(dataset, transfer_syntax)
    except RefusedError as error:
        raise TranscodeError(f"the stored header cannot be read: {error}") from error


def _native_pixels(frames: NDArray[Any], dataset_map: DatasetMap) -> dict[int, Element | None]:
    replaced: dict[int, Element | None] = {PIXEL_DATA: pixel_element(frames)}
    if frames.ndim == 4 and PLANAR_CONFIGURATION in dataset_map.elements:
        replaced[PLANAR_CONFIGURATION] = Element(PLANAR_CONFIGURATION, "US", b"\0\0")  # frames are colour by pixel
    return replaced


def _received_elements(dataset: bytes, dataset_map: DatasetMap) -> dict[int, Element]:
    """READ_TAGS in Explicit VR Little Endian, sequences as their items."""
    encoder = encoder_for(dataset, dataset_map, EXPLICIT)
    spans = [dataset_map.elements[tag] for tag in READ_TAGS if tag in dataset_map.elements]
    try:
        encoded = b"".join(
            encode_span(dataset, dataset_map, span, encoder, _derive_frame_type if span.tag in _GROUPS else None)
            for span in spans
        )
    except RefusedError as error:
        raise TranscodeError(f"the stored header cannot be read: {error}") from error
    if not encoded:
        return {}
    found = scan(encoded, EXPLICIT_VR_LITTLE_ENDIAN).elements.values()
    return {span.tag: Element(span.tag, str(span.vr), encoded[span.value_start : span.value_end]) for span in found}


def _derive_frame_type(token: Token, value: bytes) -> bytes:
    """Frame Type follows Image Type in every frame (PS3.3 C.8.13.3.1.1)."""
    return derived_type(value) if token.tag == FRAME_TYPE else value
