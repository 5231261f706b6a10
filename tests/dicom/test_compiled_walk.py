"""The compiled walk gives the maps and the errors that Python gives, for real files, damaged ones and odd nesting."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mripacs.core.errors import MripacsError
from mripacs.dicom import walking
from mripacs.dicom.part10 import read_part10
from mripacs.dicom.scan import scan
from mripacs.dicom.transfer_syntax import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from tests.dicom import made

FIRST = b"\x08\x00\x05\x00CS\x02\x00A "
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
SEQUENCE = b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED
FILES = ("MR_small.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm", "emri_small.dcm", "1.dcm", "brain_001.dcm")


def answers(dataset: bytes, syntax: str) -> list[object]:
    """What `scan` says: in Python, compiled, and compiled of a buffer that can be written to."""
    found: list[object] = []
    for loaded, buffer in ((False, dataset), (True, dataset), (True, bytearray(dataset))):
        before = walking._loaded[:]
        walking._loaded.clear()
        try:
            if loaded:
                walking.load()
            made_map = scan(buffer, syntax)
            singly = [made_map.elements[tag] for tag in made_map.elements]  # made one by one, not all at once
            found.append((made_map, singly, list(made_map.elements.items())))
        except MripacsError as error:
            found.append((type(error), str(error)))
        finally:
            walking._loaded[:] = before
    return found


def agree(dataset: bytes, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> None:
    python, compiled, of_bytearray = answers(dataset, syntax)
    assert compiled == python
    assert of_bytearray == python


def test_real_files_whole_and_cut(dev_files: list[Path], train_sample: list[Path]) -> None:
    seen = 0
    for path in (*dev_files[::4], *train_sample):
        try:
            received = read_part10(path)
        except MripacsError:
            continue
        for part in (3, 2, 1):
            agree(received.dataset[: len(received.dataset) * part // 3], received.transfer_syntax)
            seen += 1
    assert seen > 50


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_files(shared_data: Path, data: st.DataObject) -> None:
    received = made.find(shared_data, data.draw(st.sampled_from(FILES)))
    dataset = bytearray(received.dataset)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, min(len(dataset) - 1, 6000)))
        change = data.draw(st.binary(max_size=4) | st.sampled_from([UNDEFINED, ITEM, SEQUENCE_END, ITEM_END, b"UN"]))
        dataset[position : position + len(change)] = change
    agree(bytes(dataset), received.transfer_syntax)


PIECES = st.lists(
    st.sampled_from([SEQUENCE, ITEM + UNDEFINED, ITEM_END, SEQUENCE_END, FIRST, ITEM + struct.pack("<L", 10) + FIRST,
                     b"\x09\x00\x10\x10UN\0\0" + UNDEFINED, b"\x08\x00\x05\x00\x02\0\0\0A ", b"\0", b"\x08\x00"]),
    max_size=24,
)  # fmt: skip


@settings(max_examples=300)
@given(pieces=PIECES, syntax=st.sampled_from([EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]))
def test_pieces_in_any_order(pieces: list[bytes], syntax: str) -> None:
    agree(FIRST + b"".join(pieces), syntax)


@pytest.mark.parametrize("depth", [1, 15, 16, 17, 40])
def test_nesting_deeper_than_the_compiled_stack(depth: int) -> None:
    nested = SEQUENCE + ITEM + UNDEFINED
    agree(FIRST + nested * depth + (ITEM_END + SEQUENCE_END) * depth + FIRST.replace(b"\x05", b"\x08"))


@pytest.mark.parametrize("count", [511, 512, 513, 2000])
def test_more_elements_than_the_first_rows_hold(count: int) -> None:
    elements = b"".join(struct.pack("<HH2sH", 0x0009, 0x1000 + index, b"LO", 2) + b"A " for index in range(count))
    agree(FIRST + elements + elements[:100])  # the last ones twice
    assert len(scan(FIRST + elements, EXPLICIT_VR_LITTLE_ENDIAN).elements) == count + 1


def test_big_endian_sequences() -> None:
    sequence, item = b"\x00\x08\x11\x40SQ\0\0" + UNDEFINED, b"\xff\xfe\xe0\x00" + UNDEFINED
    item_end, sequence_end = (b"\xff\xfe\xe0" + last + bytes(4) for last in (b"\x0d", b"\xdd"))
    value = b"\x00\x08\x00\x05CS\x00\x02A "
    agree(value + sequence + item + value + item_end + sequence_end + value, EXPLICIT_VR_BIG_ENDIAN)
