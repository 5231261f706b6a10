"""Pixel values as arrays and back: describe, decode, encode natively, cut out of a data set and join again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import PixelDataError
from mripacs.dicom import decode
from mripacs.dicom.dictionary import tag_of
from mripacs.dicom.headers import Buffer
from mripacs.dicom.scan import DatasetMap, PixelSpan
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_BIG_ENDIAN, LOSSY_SYNTAXES, is_encapsulated
from mripacs.dicom.values import int_value, text_value

MAX_SAMPLES = 2**28  # LimitSettings.max_samples's default: 512 MiB of 16-bit words

PHOTOMETRIC_INTERPRETATIONS = {
    1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
    3: ("RGB", "YBR_FULL", "YBR_RCT", "YBR_ICT"),
}  # by samples per pixel; the subsampled and retired ones of PS3.3 C.7.6.3.1.2 are not decoded
SUBSAMPLED_WHEN_NATIVE = ("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")

_DTYPES = {(8, False): "u1", (16, False): "u2", (16, True): "i2"}  # (bits, signed)


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """The Image Pixel module's account of the pixels (PS3.3 C.7.6.3), checked for sense."""

    rows: int
    columns: int
    frames: int
    samples: int  # 1 or 3
    bits_allocated: int  # 8 or 16
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar_configuration: int  # 0 colour by pixel, 1 colour by plane; 0 for one sample
    lossy_before: bool  # the data set says that it was lossy, or its transfer syntax can only be

    @property
    def dtype(self) -> np.dtype[Any]:
        """Native byte order uint8, uint16 or int16."""
        return np.dtype(_DTYPES[self.bits_allocated, self.signed])

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, rows, columns), with 3 behind for colour."""
        return (self.frames, self.rows, self.columns) + ((3,) if self.samples == 3 else ())

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8

    @property
    def native_bytes(self) -> int:
        """Bytes of all uncompressed frames, without padding to even length."""
        return self.frames * self.frame_bytes


def describe(
    dataset: Buffer, dataset_map: DatasetMap, transfer_syntax: str, *, max_samples: int = MAX_SAMPLES
) -> PixelDescription:
    """What the header says of the pixels. The pixel value itself is not looked at, so it may have been cut out.

    Raises PixelDataError when Pixel Data or an attribute is missing, comes after Pixel Data, contradicts another, has a
    value that this node does not decode (only 8 bits unsigned and 16 bits, 1 or 3 samples), or when the image has
    more than `max_samples` samples.
    """
    if dataset_map.pixel is None:
        raise PixelDataError("the data set has no Pixel Data (7FE0,0010)")
    read = _Reader(dataset, dataset_map, dataset_map.pixel)
    samples = read.required("SamplesPerPixel")
    photometric = read.text("PhotometricInterpretation")
    _check_colour(samples, photometric, encapsulated=is_encapsulated(transfer_syntax))
    description = PixelDescription(
        rows=read.required("Rows"),
        columns=read.required("Columns"),
        frames=read.optional("NumberOfFrames", 1),
        samples=samples,
        bits_allocated=read.required("BitsAllocated"),
        bits_stored=read.required("BitsStored"),
        high_bit=read.required("HighBit"),
        signed=bool(read.required("PixelRepresentation")),
        photometric=photometric,
        planar_configuration=read.optional("PlanarConfiguration", 0) if samples == 3 else 0,
        lossy_before=read.text("LossyImageCompression") == "01" or transfer_syntax in LOSSY_SYNTAXES,
    )
    _check_sense(description, max_samples)
    return description


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads attributes that stand before the pixels, so that a header without them still has every one."""

    dataset: Buffer
    dataset_map: DatasetMap
    pixel: PixelSpan

    def text(self, keyword: str) -> str:
        tag = tag_of(keyword)
        self._check_place(keyword, tag)
        return text_value(self.dataset, self.dataset_map, tag).upper()

    def optional(self, keyword: str, absent: int) -> int:
        tag = tag_of(keyword)
        self._check_place(keyword, tag)
        span = self.dataset_map.elements.get(tag)
        if span is None or span.value_start == span.value_end:
            return absent
        value = int_value(self.dataset, self.dataset_map, tag)
        if value is None:
            raise PixelDataError(f"{keyword} is malformed")
        return value

    def required(self, keyword: str) -> int:
        value = self.optional(keyword, -1)
        if value < 0:
            raise PixelDataError(f"{keyword} is missing")
        return value

    def _check_place(self, keyword: str, tag: int) -> None:
        span = self.dataset_map.elements.get(tag)
        if span is not None and span.header_start > self.pixel.start:
            raise PixelDataError(f"{keyword} comes after Pixel Data")


def _check_colour(samples: int, photometric: str, *, encapsulated: bool) -> None:
    known = PHOTOMETRIC_INTERPRETATIONS.get(samples, ())
    if encapsulated and samples == 3:
        known += SUBSAMPLED_WHEN_NATIVE  # JPEG decoders give full-size planes
    if photometric not in known:
        raise PixelDataError(
            f"{samples} samples per pixel with photometric interpretation {photometric!r} are not decoded"
        )


def _check_sense(description: PixelDescription, max_samples: int) -> None:
    if (description.bits_allocated, description.signed) not in _DTYPES:
        sign = "signed" if description.signed else "unsigned"
        raise PixelDataError(f"{description.bits_allocated} bits allocated, {sign}, are not decoded")
    if not 1 <= description.bits_stored <= description.high_bit + 1 <= description.bits_allocated:
        raise PixelDataError(
            f"Bits Allocated {description.bits_allocated}, Bits Stored {description.bits_stored} and"
            f" High Bit {description.high_bit} contradict each other"
        )
    if description.planar_configuration not in (0, 1):
        raise PixelDataError(f"Planar Configuration {description.planar_configuration} does not exist")
    samples = description.rows * description.columns * description.frames * description.samples
    if not 0 < samples <= max_samples:
        raise PixelDataError(f"{samples} samples, between 1 and {max_samples} are decoded")


def decode_frames(
    dataset: Buffer,
    dataset_map: DatasetMap,
    transfer_syntax: str,
    description: PixelDescription,
    max_samples: int = MAX_SAMPLES,
) -> NDArray[Any]:
    """The stored words as an array of `description.shape` and `description.dtype`, without colour conversion.

    Native words come as they are, bits outside Bits Stored included; encapsulated ones through pydicom's decoders.
    Raises PixelDataError when the value is shorter than the frames, truncated, encapsulated against its transfer
    syntax, or cannot be decoded, and for more than `max_samples` samples.
    """
    pixel = dataset_map.pixel
    if pixel is None:
        raise PixelDataError("the data set has no Pixel Data (7FE0,0010)")
    _check_sense(description, max_samples)
    if pixel.truncated:
        raise PixelDataError("the data set ends inside its Pixel Data")
    if pixel.encapsulated != is_encapsulated(transfer_syntax):
        raise PixelDataError(
            f"Pixel Data is {'' if pixel.encapsulated else 'not '}encapsulated, against {transfer_syntax}"
        )
    value = dataset[pixel.start : pixel.end]
    if pixel.encapsulated:
        return decode.decode_encapsulated(bytes(value), transfer_syntax, description).reshape(description.shape)
    _check_word_order(pixel, transfer_syntax, description)
    return split_value(value, description, transfer_syntax)[0]


def _check_word_order(pixel: PixelSpan, transfer_syntax: str, description: PixelDescription) -> None:
    if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN and pixel.vr == "OW" and description.bits_allocated == 8:
        raise PixelDataError("8-bit pixels in big endian words are not decoded")


def split_value(value: Buffer, description: PixelDescription, transfer_syntax: str) -> tuple[NDArray[Any], bytes]:
    """A native pixel value as its frames (see `decode_frames`) and the bytes after them (padding and whatever else).

    Raises PixelDataError when the value is too short for the frames.
    """
    if len(value) < description.native_bytes:
        raise PixelDataError(f"Pixel Data has {len(value)} bytes, its description needs {description.native_bytes}")
    words = np.frombuffer(
        value, _wire_dtype(description, transfer_syntax), description.native_bytes // description.dtype.itemsize
    )
    frames = words.astype(description.dtype)
    if description.samples == 3 and description.planar_configuration == 1:
        planes = frames.reshape(description.frames, 3, description.rows, description.columns)
        frames = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return frames.reshape(description.shape), bytes(value[description.native_bytes :])


def native_value(frames: NDArray[Any], description: PixelDescription, transfer_syntax: str) -> bytes:
    """The native pixel value of frames, the exact inverse of native decoding: no pad byte follows odd lengths.

    Raises PixelDataError when shape or dtype are not those of `description`.
    """
    if frames.shape != description.shape or frames.dtype != description.dtype:
        raise PixelDataError(f"frames are {frames.shape} {frames.dtype}, not {description.shape} {description.dtype}")
    if description.samples == 3 and description.planar_configuration == 1:
        frames = frames.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(frames, _wire_dtype(description, transfer_syntax)).tobytes()


def _wire_dtype(description: PixelDescription, transfer_syntax: str) -> np.dtype[Any]:
    return description.dtype.newbyteorder(">" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "<")


def high_bits_used(frames: NDArray[Any], description: PixelDescription) -> bool:
    """Whether bits outside Bits Stored carry anything but the sign extended (PS3.5 8.1.1).

    Then the words are not the stored values, and only coding them without loss keeps what they carry. True also when
    the stored bits do not begin at bit 0, and for negative values whose upper bits were left zero.
    """
    if description.high_bit != description.bits_stored - 1:
        return True
    if description.bits_stored == description.bits_allocated or not frames.size:
        return False
    if description.signed:
        limit = 1 << (description.bits_stored - 1)
        return bool(frames.min() < -limit or frames.max() >= limit)
    return bool(frames.max() >> description.bits_stored)


def cut(
    dataset: bytes, dataset_map: DatasetMap, transfer_syntax: str, description: PixelDescription | None = None
) -> tuple[bytes, int]:
    """The data set without its pixels, and where they were; `join` is the inverse.

    With a description, only the bytes of native frames are cut, so that padding and other bytes after them stay in the
    header; without one, and for encapsulated pixels, the whole value (not its delimiter). Raises PixelDataError
    when there is no Pixel Data or its value is shorter than the frames.
    """
    pixel = dataset_map.pixel
    if pixel is None:
        raise PixelDataError("the data set has no Pixel Data (7FE0,0010)")
    end = pixel.end
    if description is not None and not is_encapsulated(transfer_syntax) and not pixel.encapsulated:
        end = pixel.start + description.native_bytes
        if end > pixel.end:
            raise PixelDataError(f"Pixel Data is {end - pixel.end} bytes too short for its frames")
    return dataset[: pixel.start] + dataset[end:], pixel.start


def join(header: bytes, offset: int, value: bytes) -> bytes:
    """The data set with `value` put back where `cut` took it out."""
    return b"".join((header[:offset], value, header[offset:]))
