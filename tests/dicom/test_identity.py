"""Derived UIDs and the marks of a lossy result, as elements."""

from __future__ import annotations

import numpy as np
import pytest

from mripacs.dicom import identity
from mripacs.dicom.encode import Element, item_bytes
from mripacs.dicom.identity import Derivation, derive, derived_uid
from tests.dicom import made

DERIVED = derived_uid("1.2.3", "kwavelet 1", "rel_error=0.05")


def derivation(uid: str = DERIVED, syntax: str = "1.2.840.10008.1.2.1", dtype: str = "u2") -> Derivation:
    frames = np.arange(5, 2005, dtype=dtype).reshape(1, 40, 50)
    return Derivation(made.MR_IMAGE, "1.2.3", uid, syntax, made.certificate(), 1000, frames)


def values(elements: dict[int, Element | None], *tags: int) -> list[bytes]:
    return [elements[tag].value for tag in tags]


def received(*elements: tuple[int, str, bytes]) -> dict[int, Element]:
    return {tag: Element(tag, vr, value) for tag, vr, value in elements}


def test_derived_uids_never_change() -> None:
    """Frozen: another value would give every stored instance a new identity."""
    assert DERIVED == "2.25.51751256461180768337941247827000405185"


@pytest.mark.parametrize(
    "other", [("1.2.4", "kwavelet 1", "a"), ("1.2.3", "kwavelet 2", "a"), ("1.2.3", "kwavelet 1", "b")]
)
def test_derived_uids_differ(other: tuple[str, str, str]) -> None:
    uid = derived_uid("1.2.3", "kwavelet 1", "a")
    assert derived_uid(*other) != uid
    assert len(uid) <= 64
    assert derived_uid("1" * 64, "x" * 100, "y" * 100)[:5] == "2.25."


def test_marks_of_an_unmarked_original() -> None:
    marks = derive(received((identity.IMAGE_TYPE, "CS", b"ORIGINAL\\PRIMARY\\M")), derivation())
    assert values(marks, identity.IMAGE_TYPE) == [b"DERIVED\\PRIMARY\\M "]
    assert values(marks, identity.SOP_INSTANCE_UID) == [DERIVED.encode()]
    assert values(marks, 0x00282110, 0x00282112, 0x00282114) == [b"01", b"4", b"MRIPACS_KWAVELET"]
    assert b"kwavelet 1 to rel_error=0.05" in marks[identity.DERIVATION_DESCRIPTION].value
    assert b"121320" in marks[identity.SOURCE_IMAGE_SEQUENCE].value
    assert b"113040" in marks[identity.DERIVATION_CODE_SEQUENCE].value
    assert marks[0xFFFAFFFA] is None  # a signature of other pixels
    assert identity.SMALLEST_IMAGE_PIXEL_VALUE not in marks
    assert len(identity.METHOD_TERM) <= 16


@pytest.mark.parametrize(
    ("ratios", "methods", "expected"),
    [
        (b"7.5", b"ISO_15444_1", (b"7.5\\4", b"ISO_15444_1\\MRIPACS_KWAVELET")),
        (b"7.5\\2 ", b"ISO_15444_1\\ISO_10918_1", (b"7.5\\2\\4", b"ISO_15444_1\\ISO_10918_1\\MRIPACS_KWAVELET")),
        (b"7.5\\2", b"ISO_15444_1", (b"7.5\\2\\4", b"ISO_15444_1\\UNKNOWN\\MRIPACS_KWAVELET")),
        (b"7.5", None, (b"7.5\\4", b"UNKNOWN\\MRIPACS_KWAVELET")),
        (None, b"ISO_15444_1", (b"1\\4", b"ISO_15444_1\\MRIPACS_KWAVELET")),
        (b"", b" ", (b"4", b"MRIPACS_KWAVELET")),
        (b"not a number", b"\xff", (b"not a number\\4", b"\xff\\MRIPACS_KWAVELET")),
    ],
)
def test_history_is_appended_to(ratios: bytes | None, methods: bytes | None, expected: tuple[bytes, bytes]) -> None:
    history = {0x00282112: ratios, 0x00282114: methods}
    before = received(*((tag, "CS", value) for tag, value in history.items() if value is not None))
    assert tuple(values(derive(before, derivation()), 0x00282112, 0x00282114)) == expected


def test_the_method_of_the_received_syntax_fills_a_gap() -> None:
    marks = derive(received((0x00282112, "DS", b"8")), derivation(syntax="1.2.840.10008.1.2.4.91"))
    assert values(marks, 0x00282114) == [b"ISO_15444_1\\MRIPACS_KWAVELET"]


def test_descriptions_fit_their_vr() -> None:
    marks = derive(received((identity.DERIVATION_DESCRIPTION, "ST", b"x" * 1024)), derivation())
    (text,) = values(marks, identity.DERIVATION_DESCRIPTION)
    assert len(text) == 1024
    assert text.startswith(b"xxx")
    assert b"; Lossy compression by" in text


@pytest.mark.parametrize(("dtype", "vr"), [("u2", "US"), ("i2", "SS")])
def test_extremes_are_those_of_the_new_pixels(dtype: str, vr: str) -> None:
    before = received((0x00280106, "US", made.us(1)), (0x00280107, "US", made.us(9)))
    marks = derive(before, derivation(dtype=dtype))
    assert [(marks[tag].vr, marks[tag].value) for tag in before] == [(vr, made.us(5)), (vr, made.us(2004))]


def test_an_instance_that_keeps_its_uid_does_not_name_itself() -> None:
    marks = derive({}, derivation(uid="1.2.3"))
    assert values(marks, identity.SOP_INSTANCE_UID, identity.LOSSY_IMAGE_COMPRESSION) == [b"1.2.3", b"01"]
    assert identity.SOURCE_IMAGE_SEQUENCE not in marks


def test_earlier_sources_stay() -> None:
    earlier = item_bytes([Element(0x00081155, "UI", b"1.9.9")])
    marks = derive(received((identity.SOURCE_IMAGE_SEQUENCE, "SQ", earlier)), derivation())
    assert marks[identity.SOURCE_IMAGE_SEQUENCE].value.startswith(earlier)


@pytest.mark.parametrize("place", ["shared", "frames", "nowhere"])
def test_enhanced_objects_say_it_in_their_functional_groups(place: str) -> None:
    derived = Element(0x00089124, "SQ", item_bytes([Element(0x00082111, "ST", b"averaged")]))
    other = Element(0x00209111, "SQ", item_bytes([]))
    shared = item_bytes([derived] if place == "shared" else [other])
    frames = item_bytes([derived, other] if place == "frames" else [other]) * 2
    marks = derive(received((0x52009229, "SQ", shared), (0x52009230, "SQ", frames)), derivation())
    found = [marks[tag].value.count(b"113040") for tag in (0x52009229, 0x52009230)]
    assert found == ([0, 2] if place == "frames" else [1, 0])
    assert marks[0x52009230].value.count(b"averaged") == (2 if place == "frames" else 0)
    assert identity.SOURCE_IMAGE_SEQUENCE not in marks
    assert b"1.2.3" in marks[identity.SOURCE_IMAGE_EVIDENCE_SEQUENCE].value
