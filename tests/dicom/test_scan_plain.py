"""Plain elements are mapped without calls; the map is the one that element by element gives, for every real file."""

from __future__ import annotations

import pytest

from mripacs.core.errors import MripacsError, ObjectTooLargeError
from mripacs.dicom import nesting, scan, walking
from mripacs.dicom.part10 import read_part10

EXPLICIT = "1.2.840.10008.1.2.1"
ELEMENT = b"\x08\x00\x05\x00CS\x02\x00A "


@pytest.fixture(autouse=True)
def _in_python(monkeypatch):
    monkeypatch.setattr(walking, "_loaded", [])


def _element_by_element(monkeypatch):
    monkeypatch.setattr(scan, "_read_plain", lambda _dataset, position, *_: (position, 0))
    monkeypatch.setattr(nesting, "skip_plain", lambda _buffer, position, *_: position)


def _map(dataset, syntax):
    try:
        return scan.scan(dataset, syntax)
    except MripacsError as error:
        return type(error), str(error)


def test_every_real_file_has_the_same_map(dev_files, train_sample, monkeypatch):
    objects = []
    for path in (*dev_files[::4], *train_sample):
        try:
            objects.append(read_part10(path))
        except MripacsError:
            continue
    cut = [(each.dataset[: len(each.dataset) * 2 // 3], each.transfer_syntax) for each in objects]
    cases = [*((each.dataset, each.transfer_syntax) for each in objects), *cut]
    fast = [_map(*case) for case in cases]
    _element_by_element(monkeypatch)
    assert len(cases) > 50
    assert fast == [_map(*case) for case in cases]


@pytest.mark.parametrize("count", [3, 4])
def test_the_limit_counts_plain_elements(count):
    if count == 3:
        assert len(scan.scan(ELEMENT * count, EXPLICIT, max_elements=3).elements) == 1  # duplicates count, too
    else:
        with pytest.raises(ObjectTooLargeError, match="more than 3"):
            scan.scan(ELEMENT * count, EXPLICIT, max_elements=3)
