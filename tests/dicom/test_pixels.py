"""Frames against pydicom's, and the way back to the bytes."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs.core.errors import PixelDataError
from mripacs.dicom.pixels import (
    PixelDescription,
    cut,
    decode_frames,
    describe,
    high_bits_used,
    join,
    native_value,
    split_value,
)
from mripacs.dicom.scan import scan
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_BIG_ENDIAN, RLE_LOSSLESS
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT
from tests.dicom import made


def decoded(dataset: bytes, syntax: str = EXPLICIT, **limits: int) -> np.ndarray:
    dataset_map = scan(dataset, syntax)
    return decode_frames(dataset, dataset_map, syntax, describe(dataset, dataset_map, syntax, **limits))


def test_frames_are_pydicoms_and_go_back_to_the_bytes(dev_files: list[Path], train_sample: list[Path]) -> None:
    for path in dev_files + train_sample:
        received = made.read(path)
        dataset, syntax = received.dataset, received.transfer_syntax
        dataset_map = scan(dataset, syntax)
        if dataset_map.pixel.truncated:
            continue
        description = describe(dataset, dataset_map, syntax)
        frames = decode_frames(dataset, dataset_map, syntax, description)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = pydicom.dcmread(path).pixel_array
        np.testing.assert_array_equal(frames, expected.reshape(frames.shape))
        assert frames.dtype == description.dtype == expected.dtype.newbyteorder("=")
        assert not high_bits_used(frames, description)
        header, offset = cut(dataset, dataset_map, syntax, description)
        assert describe(header, scan(header, syntax), syntax) == description
        if not dataset_map.pixel.encapsulated:
            assert len(header) == len(dataset) - description.native_bytes
            assert join(header, offset, native_value(frames, description, syntax)) == dataset


def test_a_whole_value_is_cut_without_description(dev_files: list[Path]) -> None:
    for path in dev_files[::9]:
        received = made.read(path)
        dataset_map = scan(received.dataset, received.transfer_syntax)
        header, offset = cut(received.dataset, dataset_map, received.transfer_syntax)
        assert join(header, offset, received.dataset[offset : dataset_map.pixel.end]) == received.dataset
        assert len(header) == len(received.dataset) - (dataset_map.pixel.end - dataset_map.pixel.start)


def test_truncated_pixels_are_not_decoded(shared_data: Path) -> None:
    with pytest.raises(PixelDataError, match="ends inside"):
        decoded(made.find(shared_data, "MR_truncated.dcm").dataset)


def test_bytes_behind_the_frames_stay_in_the_header() -> None:
    dataset = made.image(PixelData=struct.pack("<6H", *range(6)) + b"tail")
    dataset_map = scan(dataset, EXPLICIT)
    description = describe(dataset, dataset_map, EXPLICIT)
    header, offset = cut(dataset, dataset_map, EXPLICIT, description)
    assert header.endswith(b"tail")
    frames, tail = split_value(dataset[dataset_map.pixel.start : dataset_map.pixel.end], description, EXPLICIT)
    assert tail == b"tail"
    assert join(header, offset, native_value(frames, description, EXPLICIT)) == dataset


@pytest.mark.parametrize(
    "changes",
    [
        {"PixelData": None},
        {"PixelData": b""},
        {"PixelData": bytes(10)},
        {"Rows": None},
        {"Rows": b""},
        {"Rows": made.us(0)},
        {"Columns": made.us(4)},
        {"Columns": None},
        {"SamplesPerPixel": None},
        {"SamplesPerPixel": made.us(2)},
        {"SamplesPerPixel": made.us(3)},
        {"PhotometricInterpretation": None},
        {"PhotometricInterpretation": b"YBR_FULL_422", "SamplesPerPixel": made.us(3)},
        {"PhotometricInterpretation": b"XYZ"},
        {"BitsAllocated": made.us(1), "BitsStored": made.us(1), "HighBit": made.us(0)},
        {"BitsAllocated": made.us(32)},
        {
            "BitsAllocated": made.us(8),
            "BitsStored": made.us(8),
            "HighBit": made.us(7),
            "PixelRepresentation": made.us(1),
        },
        {"BitsStored": made.us(17)},
        {"BitsStored": made.us(0)},
        {"HighBit": made.us(16)},
        {"HighBit": made.us(10)},
        {"HighBit": None},
        {"PixelRepresentation": None},
        {"NumberOfFrames": b"0"},
        {"NumberOfFrames": b"-1"},
        {"NumberOfFrames": b"2"},
        {"NumberOfFrames": b"two"},
        {"NumberOfFrames": b"999999999999"},
        {"Rows": made.us(65535), "Columns": made.us(65535)},
    ],
)
def test_what_is_not_decoded(changes: dict[str, bytes | None]) -> None:
    with pytest.raises(PixelDataError):
        decoded(made.image(**changes))


def test_attributes_behind_the_pixels_are_not_believed() -> None:
    dataset = made.image(Rows=None) + made.explicit([(0x00280010, "US", made.us(2))])
    with pytest.raises(PixelDataError, match="Rows comes after"):
        decoded(dataset)


def test_most_samples() -> None:
    assert decoded(made.image(), max_samples=6).size == 6
    with pytest.raises(PixelDataError):
        decoded(made.image(), max_samples=5)


def test_encapsulation_against_the_syntax() -> None:
    with pytest.raises(PixelDataError, match="encapsulated"):
        decoded(made.image(), RLE_LOSSLESS)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_is_by_pixel(planar: int) -> None:
    eight = {"BitsAllocated": made.us(8), "BitsStored": made.us(8), "HighBit": made.us(7)}
    dataset = made.image(
        **eight,
        SamplesPerPixel=made.us(3),
        PhotometricInterpretation=b"RGB",
        PlanarConfiguration=made.us(planar),
        PixelData=bytes(range(18)),
    )
    dataset_map = scan(dataset, EXPLICIT)
    description = describe(dataset, dataset_map, EXPLICIT)
    frames = decode_frames(dataset, dataset_map, EXPLICIT, description)
    expected = np.arange(18, dtype=np.uint8)
    expected = expected.reshape(1, 2, 3, 3) if planar == 0 else expected.reshape(1, 3, 2, 3).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(frames, expected)
    assert native_value(frames, description, EXPLICIT) == bytes(range(18))


@pytest.mark.parametrize(
    ("stored", "high", "signed", "words", "used"),
    [
        (12, 11, False, [0, 4095], False),
        (12, 11, False, [0, 4096], True),
        (12, 11, True, [-2048, 2047], False),
        (12, 11, True, [-2049, 0], True),
        (12, 11, True, [0, 2048], True),  # a negative value whose upper bits were left zero
        (16, 15, False, [0, 65535], False),
        (16, 15, True, [-32768, 32767], False),
        (12, 15, False, [0, 16], True),
    ],
)
def test_high_bits(stored: int, high: int, signed: bool, words: list[int], used: bool) -> None:
    description = PixelDescription(1, len(words), 1, 1, 16, stored, high, signed, "MONOCHROME2", 0, False)
    frames = np.array(words, description.dtype).reshape(description.shape)
    assert high_bits_used(frames, description) is used


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3)),
    kind=st.sampled_from([(8, False), (16, False), (16, True)]),
    colour=st.sampled_from([(1, 0), (3, 0), (3, 1)]),
    syntax=st.sampled_from([EXPLICIT, EXPLICIT_VR_BIG_ENDIAN]),
    data=st.data(),
)
def test_native_values_are_inverse(
    shape: tuple[int, int, int], kind: tuple[int, bool], colour: tuple[int, int], syntax: str, data: st.DataObject
) -> None:
    (rows, columns, frames), (bits, signed), (samples, planar) = shape, kind, colour
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    description = PixelDescription(
        rows, columns, frames, samples, bits, bits, bits - 1, signed, photometric, planar, False
    )
    value = data.draw(st.binary(min_size=description.native_bytes, max_size=description.native_bytes + 3))
    array, tail = split_value(value, description, syntax)
    assert array.shape == description.shape
    assert native_value(array, description, syntax) + tail == value


def test_frames_of_another_shape_are_refused() -> None:
    description = PixelDescription(2, 3, 1, 1, 16, 12, 11, False, "MONOCHROME2", 0, False)
    for frames in (np.zeros((1, 3, 2), np.uint16), np.zeros((1, 2, 3), np.int16)):
        with pytest.raises(PixelDataError):
            native_value(frames, description, EXPLICIT)


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_fragments_are_errors_or_frames(shared_data: Path, data: st.DataObject) -> None:
    """JPEG Lossless (gdcm) is left to the worker processes' tests: a decoder in C may also end its process."""
    name = data.draw(
        st.sampled_from(["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
    )
    received = made.find(shared_data, name)
    dataset_map = scan(received.dataset, received.transfer_syntax)
    damaged = bytearray(received.dataset)
    position = data.draw(st.integers(dataset_map.pixel.start + 8, dataset_map.pixel.end - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    try:
        frames = decoded(bytes(damaged), received.transfer_syntax)
    except PixelDataError:
        return
    assert frames.shape == (1, 64, 64)


def test_codestream_of_another_size_is_refused(shared_data: Path) -> None:
    for name in ("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "jpg1.dcm"):
        received = made.find(shared_data, name)
        dataset_map = scan(received.dataset, received.transfer_syntax)
        span = dataset_map.elements[0x00280010]
        dataset = received.dataset[: span.value_start] + made.us(32) + received.dataset[span.value_end :]
        with pytest.raises(PixelDataError, match="codestream"):
            decoded(dataset, received.transfer_syntax)
