"""References to originals of lossy instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from mripacs.core.model import Outgoing
from mripacs.dicom.encode import Element, item_bytes
from mripacs.dicom.part10 import to_dataset
from mripacs.dicom.references import rewrite_references
from mripacs.dicom.same import same_object
from mripacs.dicom.transcode import transcode
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from tests.dicom import made

DERIVED = "2.25.329800735698586629295641978511506172918"


def reference(uid: bytes) -> bytes:
    return item_bytes([Element(0x00081150, "UI", made.MR_IMAGE.encode()), Element(0x00081155, "UI", uid)])


def referring() -> bytes:
    """Two references at the top, one below another sequence."""
    deep = item_bytes([Element(0x00081140, "SQ", reference(b"1.9.1"))])
    return made.image(ReferencedImageSequence=reference(b"1.9.1") + reference(b"1.9.2")) + made.explicit(
        [(0xFFFAFFFA, "SQ", deep)]
    )


def alias_of(known: Mapping[str, str]) -> tuple[list[set[str]], object]:
    asked: list[set[str]] = []

    def alias(uids: Iterable[str]) -> Mapping[str, str]:
        asked.append(set(uids))
        return {uid: known[uid] for uid in asked[-1] if uid in known}

    return asked, alias


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
def test_references_at_any_depth(syntax: str) -> None:
    dataset = transcode(referring(), EXPLICIT, syntax)
    asked, alias = alias_of({"1.9.1": DERIVED})
    written = rewrite_references(dataset, syntax, alias)
    assert asked == [{"1.9.1", "1.9.2"}]
    read = to_dataset(Outgoing(made.MR_IMAGE, "1.2.3", syntax, written))
    assert [item.ReferencedSOPInstanceUID for item in read.ReferencedImageSequence] == [DERIVED, "1.9.2"]
    assert read[0xFFFAFFFA][0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == DERIVED
    _, back = alias_of({DERIVED: "1.9.1"})
    assert same_object(rewrite_references(written, syntax, back), syntax, referring(), EXPLICIT)


@pytest.mark.parametrize("known", [{}, {"1.9.7": DERIVED}, {"1.9.1": "1.9.1"}])
def test_nothing_to_replace_gives_the_very_bytes(known: dict[str, str]) -> None:
    dataset = referring()
    assert rewrite_references(dataset, EXPLICIT, alias_of(known)[1]) is dataset


def test_a_derived_instance_keeps_the_name_of_its_source() -> None:
    dataset = made.image(SOPInstanceUID=DERIVED.encode(), ReferencedImageSequence=reference(b"1.9.1"))
    assert rewrite_references(dataset, EXPLICIT, alias_of({"1.9.1": DERIVED})[1]) is dataset


def test_data_sets_without_references_are_not_asked_about(dev_files: list[Path]) -> None:
    asked, alias = alias_of({})
    dataset = made.image()
    assert rewrite_references(dataset, EXPLICIT, alias) is dataset
    assert asked == []


def test_what_cannot_be_understood_leaves_as_it_is() -> None:
    garbage = b"\x08\x00\x55\x11 no data set"
    assert rewrite_references(garbage, EXPLICIT, alias_of({})[1]) is garbage


def test_real_objects(dev_files: list[Path]) -> None:
    for path in dev_files[::11]:
        received = made.read(path)
        asked, alias = alias_of({})
        assert rewrite_references(received.dataset, received.transfer_syntax, alias) is received.dataset
        renamed = {uid: f"{uid[:60]}.9" for uid in (asked[0] if asked else ())}
        written = rewrite_references(received.dataset, received.transfer_syntax, alias_of(renamed)[1])
        again: list[set[str]] = []
        rewrite_references(written, received.transfer_syntax, lambda uids, again=again: again.append(set(uids)) or {})
        assert again == ([set(renamed.values())] if renamed else [])
