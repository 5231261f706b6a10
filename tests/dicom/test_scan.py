"""Offsets in real files against pydicom's, and everything a peer can send that is no data set, or half of one."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from mripacs.core.errors import NotDicomError, ObjectTooLargeError, RefusedError, TruncatedDatasetError
from mripacs.dicom.scan import PIXEL_DATA, DatasetMap, scan
from mripacs.dicom.transfer_syntax import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    RLE_LOSSLESS,
)
from tests.dicom import made

EXPLICIT = EXPLICIT_VR_LITTLE_ENDIAN
pytestmark = pytest.mark.usefixtures("either_walk")
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"


def test_offsets_are_pydicoms(dev_files: list[Path], train_sample: list[Path]) -> None:
    for path in dev_files + train_sample:
        received = made.read(path)
        found = scan(received.dataset, received.transfer_syntax)
        syntax = UID(received.transfer_syntax)
        peer = read_dataset(io.BytesIO(received.dataset[: found.end]), syntax.is_implicit_VR, syntax.is_little_endian)
        assert set(found.elements) == {int(tag) for tag in peer.keys()}  # noqa: SIM118
        for tag, raw in peer._dict.items():
            span = found.elements[int(tag)]
            if isinstance(raw, RawDataElement) and not span.undefined_length:
                assert span.value_start == raw.value_tell, path
                assert received.dataset[span.value_start : span.value_end] == (raw.value or b""), path


def test_trailing_bytes_end_the_map(shared_data: Path) -> None:
    received = made.find(shared_data, "brain_001.dcm")
    found = scan(received.dataset, received.transfer_syntax)
    assert len(received.dataset) - found.end == 2_490_368  # what SOURCES.md says of this file
    assert found.pixel is not None
    assert not found.pixel.truncated
    assert max(found.elements) == PIXEL_DATA


def test_truncated_pixels_are_told(shared_data: Path) -> None:
    received = made.find(shared_data, "MR_truncated.dcm")
    found = scan(received.dataset, received.transfer_syntax)
    assert found.pixel is not None
    assert found.pixel.truncated
    assert found.pixel.end == len(received.dataset) < found.pixel.start + found.pixel.declared_length


@pytest.mark.parametrize(
    "name", ["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm"]
)
def test_every_prefix_is_refused_or_told(shared_data: Path, name: str) -> None:
    received = made.find(shared_data, name)
    whole = scan(received.dataset, received.transfer_syntax)
    assert whole.pixel is not None
    ends = {span.end for span in whole.elements.values()}
    for length in range(whole.pixel.start + 20):
        prefix = received.dataset[:length]
        try:
            found = scan(prefix, received.transfer_syntax)
        except (NotDicomError, TruncatedDatasetError):
            assert length not in ends
        else:
            cut_inside_pixels = found.pixel is not None and found.pixel.truncated
            assert length in ends or cut_inside_pixels


@pytest.mark.parametrize("tenth", range(10))
def test_each_tenth_of_real_files(dev_files: list[Path], tenth: int) -> None:
    for path in dev_files[::8]:
        received = made.read(path)
        whole = scan(received.dataset, received.transfer_syntax)
        length = len(received.dataset) * tenth // 10
        try:
            found = scan(received.dataset[:length], received.transfer_syntax)
        except RefusedError:
            continue
        between_elements = length in {span.end for span in whole.elements.values()}
        cut_inside_pixels = found.pixel is not None and found.pixel.truncated
        assert between_elements or cut_inside_pixels or found.end == whole.end, path


@pytest.mark.parametrize(
    "syntax", [EXPLICIT, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, RLE_LOSSLESS, "1.2.840.113619.5.2.77"]
)
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0",
        bytes(7),
        bytes(1000),
        b"\xff" * 1000,
        b"<!DOCTYPE html><html><body>not found</body></html>",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64),
        b"%PDF-1.7\n" + b"x" * 500,
        b"DICM" + bytes(100),
        b"\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00" + bytes(50),
        b"\0\0\0\0\x04\0\0\0\x38\0\0\0" + bytes(50),
    ],
)
def test_what_is_no_data_set_is_refused(garbage: bytes, syntax: str) -> None:
    with pytest.raises(NotDicomError):
        scan(garbage, syntax)


def test_the_other_vr_form_is_refused_by_name() -> None:
    with pytest.raises(NotDicomError, match="implicit"):
        scan(made.image(), IMPLICIT_VR_LITTLE_ENDIAN)
    with pytest.raises(NotDicomError, match="explicit"):
        scan(b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100", EXPLICIT)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("depth", [1, 1_000, 100_000])
def test_nesting_has_no_limit(depth: int, implicit: bool) -> None:
    syntax = IMPLICIT_VR_LITTLE_ENDIAN if implicit else EXPLICIT
    found = scan(made.nested(depth, implicit=implicit), syntax)
    assert found.depth == depth
    assert list(found.elements) == [0x00081140]


def test_nesting_costs_linear_time() -> None:
    def seconds(depth: int) -> float:
        dataset = made.nested(depth, implicit=False)
        start = time.perf_counter()
        scan(dataset, EXPLICIT)
        return time.perf_counter() - start

    seconds(1_000)
    assert seconds(80_000) < 8 * 4 * max(seconds(10_000), 0.005)  # eight times the depth; four for a busy machine


def test_unknown_vr_of_undefined_length_is_implicit_inside() -> None:
    inner = b"\x08\x00\x55\x11\x04\0\0\x001.2\0"
    value = ITEM + UNDEFINED + inner + ITEM_END + SEQUENCE_END
    dataset = b"\x09\x00\x10\x10UN\0\0" + UNDEFINED + value + made.explicit([(0x00100020, "LO", b"4711")])
    found = scan(dataset, EXPLICIT)
    assert set(found.elements) == {0x00091010, 0x00100020}
    assert found.elements[0x00091010].value_end == 12 + len(value) - len(SEQUENCE_END)


@pytest.mark.parametrize("missing", [SEQUENCE_END, ITEM_END + SEQUENCE_END])
def test_delimiters_missing_at_the_end(missing: bytes) -> None:
    dataset = made.nested(2, implicit=False)
    found = scan(dataset.removesuffix(missing), EXPLICIT)
    assert found.end == len(dataset) - len(missing)


def test_item_delimiter_left_out() -> None:
    inner = made.explicit([(0x00081155, "UI", b"1.2")])
    dataset = b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED + ITEM + UNDEFINED + inner + SEQUENCE_END
    assert scan(dataset + made.explicit([(0x00100020, "LO", b"4711")]), EXPLICIT).elements.keys() == {
        0x00081140,
        0x00100020,
    }


def test_implicit_items_in_explicit_data() -> None:
    inner = b"\x08\x00\x55\x11\x04\0\0\x001.2\0"
    dataset = b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED + ITEM + UNDEFINED + inner + ITEM_END + SEQUENCE_END
    assert scan(dataset, EXPLICIT).end == len(dataset)


def test_the_first_of_duplicates_counts_in_any_order() -> None:
    dataset = made.explicit([(0x00100020, "LO", b"second"), (0x00080060, "CS", b"MR"), (0x00100020, "LO", b"other!")])
    found = scan(dataset, EXPLICIT)
    span = found.elements[0x00100020]
    assert dataset[span.value_start : span.value_end] == b"second"
    assert found.end == len(dataset)


def test_odd_and_zero_lengths_and_unknown_vrs() -> None:
    odd = b"\x10\x00\x20\x00LO\x03\x00abc"
    empty = b"\x10\x00\x30\x00DA\x00\x00"
    short_private = b"\x11\x00\x10\x10??\x02\x00hi"
    future = b"\x11\x00\x11\x10ZZ\0\0\x04\0\0\0four"
    found = scan(odd + empty + short_private + future, EXPLICIT)
    assert [span.value_end - span.value_start for span in found.elements.values()] == [3, 0, 2, 4]


def test_zeros_behind_the_last_element_are_padding() -> None:
    dataset = made.image()
    assert scan(dataset + bytes(512), EXPLICIT).end == len(dataset)


@pytest.mark.parametrize("vr", [b"OB", b"UN", b"UT"])
def test_announced_lengths_are_not_allocated(vr: bytes) -> None:
    dataset = made.explicit([(0x00080060, "CS", b"MR")])
    with pytest.raises(TruncatedDatasetError, match=r"\(0009,1010\) at offset 10"):
        scan(dataset + b"\x09\x00\x10\x10" + vr + b"\0\0\xfe\xff\xff\xff" + b"abc", EXPLICIT)


def test_encapsulated_value_excludes_its_delimiter() -> None:
    fragments = ITEM + bytes(4) + ITEM + struct.pack("<L", 4) + b"data"
    dataset = made.image(PixelData=None) + b"\xe0\x7f\x10\x00OB\0\0" + UNDEFINED + fragments
    whole = scan(dataset + SEQUENCE_END, RLE_LOSSLESS).pixel
    cut = scan(dataset, RLE_LOSSLESS).pixel
    inside = scan(dataset[:-2], RLE_LOSSLESS).pixel
    assert whole is not None
    assert cut is not None
    assert inside is not None
    assert (whole.end - whole.start, whole.encapsulated, whole.truncated) == (len(fragments), True, False)
    assert cut.truncated
    assert inside.truncated


def test_most_elements() -> None:
    dataset = made.explicit([(0x00080060, "CS", b"MR")]) * 11
    assert scan(dataset, EXPLICIT, max_elements=11).end == len(dataset)
    with pytest.raises(ObjectTooLargeError):
        scan(dataset, EXPLICIT, max_elements=10)


@settings(max_examples=400)
@given(data=st.data())
def test_mutations_end_in_a_map_or_a_refusal(shared_data: Path, data: st.DataObject) -> None:
    name = data.draw(
        st.sampled_from(["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm", "emri_small_RLE.dcm"])
    )
    received = made.find(shared_data, name)
    dataset = bytearray(received.dataset)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, min(len(dataset) - 1, 3000)))
        match data.draw(st.sampled_from(["flip", "insert", "delete", "undefined"])):
            case "flip":
                dataset[position] ^= data.draw(st.integers(1, 255))
            case "insert":
                dataset[position:position] = data.draw(st.binary(min_size=1, max_size=12))
            case "delete":
                del dataset[position : position + data.draw(st.integers(1, 20))]
            case "undefined":
                dataset[position : position + 4] = UNDEFINED
    start = time.perf_counter()
    try:
        found = scan(bytes(dataset), received.transfer_syntax)
    except RefusedError:
        found = None
    assert time.perf_counter() - start < 1
    if found is not None:
        _check_bounds(found, len(dataset))


def _check_bounds(found: DatasetMap, size: int) -> None:
    assert 0 < found.end <= size
    for span in found.elements.values():
        assert 0 <= span.header_start < span.value_start <= span.value_end <= span.end <= found.end
