"""Runs of elements that are copied as one piece: the bytes are those of writing element by element."""

from __future__ import annotations

import pytest

from mripacs.core.errors import MripacsError
from mripacs.dicom import reencode, walking
from mripacs.dicom.encode import Element
from mripacs.dicom.headers import EXPLICIT
from mripacs.dicom.part10 import read_part10
from mripacs.dicom.scan import scan
from mripacs.dicom.transfer_syntax import plain

EXPLICIT_UID = "1.2.840.10008.1.2.1"
SETS, PUT_IN, GONE = 0x00080018, 0x00082111, 0x00080060  # SOP Instance UID, Derivation Description, Modality
REPLACED = [
    {},
    {SETS: Element(SETS, "UI", b"1.2.3\0"), PUT_IN: Element(PUT_IN, "ST", b"ab"), GONE: None, 0xFFFCFFFC: None},
    {
        0x00080001: Element(0x00080001, "LO", b"first "),
        0x7FE00010: Element(0x7FE00010, "OW", b"1234"),
        0x00080005: None,
    },
]


def _written(dataset, dataset_map, replaced):
    try:
        return reencode.reencode(dataset, dataset_map, EXPLICIT, replaced)
    except MripacsError as error:
        return str(error)


@pytest.fixture(autouse=True)
def _compiled():
    """Pieces are taken out of what the compiled walk found."""
    walking.load()


def test_the_same_bytes_for_every_real_file(dev_files, train_sample, monkeypatch):
    mapped = []
    for path in (*dev_files[::3], *train_sample):
        try:
            received = read_part10(path)
            bare = plain(received.dataset, received.transfer_syntax, 10**8)
            mapped.append((bare, scan(bare, received.transfer_syntax)))
        except MripacsError:
            continue
    cases = [(*each, replaced) for each in mapped for replaced in REPLACED]
    in_pieces = [_written(*case) for case in cases]
    assert sum(reencode._is_seamless(dataset_map) for _, dataset_map, _ in cases) > len(cases) / 2
    monkeypatch.setattr(reencode, "_is_seamless", lambda _map: False)
    in_runs = [_written(*case) for case in cases]
    monkeypatch.setattr(reencode, "_ascend", lambda _map: False)
    assert len(cases) > 100
    assert in_pieces == in_runs == [_written(*case) for case in cases]


def _element(tag, value):
    return (
        tag.to_bytes(4, "little")[2:] + tag.to_bytes(4, "little")[:2] + b"LO" + len(value).to_bytes(2, "little") + value
    )


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (1, 2, 2, 3), (1, 3, 2), (1, 2, 3, 3), (1, 1, 2, 3)])
def test_order_and_duplicates(order):
    dataset = b"".join(_element(0x00081000 + 16 * number, b"%d%d" % (number, at)) for at, number in enumerate(order))
    new = {0x00081018: Element(0x00081018, "LO", b"in")}
    written = scan(reencode.reencode(dataset, scan(dataset, EXPLICIT_UID), EXPLICIT, new), EXPLICIT_UID)
    assert list(written.elements) == [0x00081010, 0x00081018, 0x00081020, 0x00081030]
