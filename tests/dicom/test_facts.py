"""Policy facts: words that shipped rules look for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mripacs.core.model import PolicyFacts
from mripacs.dicom.encode import Element, item_bytes
from mripacs.dicom.facts import policy_facts
from mripacs.dicom.index import index_attributes
from mripacs.dicom.scan import scan
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT
from tests.dicom import made


def facts_of(dataset: bytes, syntax: str = EXPLICIT) -> PolicyFacts:
    dataset_map = scan(dataset, syntax)
    return policy_facts(dataset, dataset_map, syntax, index_attributes(dataset, dataset_map, syntax), "SCANNER")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"OverlayBitPosition": made.us(12)}, "OverlayInPixelData"),
        ({"PixelPaddingValue": made.us(63536)}, "PixelPaddingInUse"),
        ({"RealWorldValueMappingSequence": item_bytes([])}, "RealWorldValueMapping"),
    ],
)
def test_derived_words(changes: dict[str, bytes], word: str) -> None:
    assert word in facts_of(made.image(**changes)).present
    assert word not in facts_of(made.image()).present


@pytest.mark.parametrize("changes", [{"OverlayBitPosition": made.us(0)}, {"PixelPaddingValue": made.us(0)}])
def test_zero_is_not_in_use(changes: dict[str, bytes]) -> None:
    assert not {"OverlayInPixelData", "PixelPaddingInUse"} & facts_of(made.image(**changes)).present


def test_float_pixels() -> None:
    dataset = made.image(PixelData=None) + made.explicit([(0x7FE00008, "OF", bytes(24))])
    present = facts_of(dataset).present
    assert "FloatPixelData" in present
    assert "PixelData" not in present


def test_empty_elements_are_not_present() -> None:
    assert "PatientID" not in facts_of(made.image(PatientID=b"")).present
    assert "PatientID" in facts_of(made.image(PatientID=b"1")).present


def test_functional_groups_are_looked_into() -> None:
    frame_type = item_bytes(
        [Element(0x00089007, "CS", b"original\\primary\\diffusion"), Element(0x00089208, "CS", b"PHASE")]
    )
    mapping = Element(0x00409096, "SQ", item_bytes([]))
    shared = Element(0x52009229, "SQ", item_bytes([Element(0x00189226, "SQ", frame_type), mapping]))
    dataset = made.image(PixelData=None) + made.explicit([shared, (0x7FE00010, "OW", bytes(12))])
    facts = facts_of(dataset)
    assert facts.image_type == ("ORIGINAL", "PRIMARY", "DIFFUSION", "PHASE")
    assert "RealWorldValueMapping" in facts.present


def test_only_the_first_frame_is_looked_at() -> None:
    frames = b"".join(
        item_bytes([Element(0x00189226, "SQ", item_bytes([Element(0x00089007, "CS", word)]))])
        for word in (b"ADC", b"T2")
    )
    dataset = made.image(PixelData=None) + made.explicit([(0x52009230, "SQ", frames)])
    assert facts_of(dataset).image_type == ("ADC",)


def test_damaged_functional_groups_do_no_harm() -> None:
    damaged = made.explicit([(0x52009229, "SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\x00garbage!")])
    assert facts_of(made.image(PixelData=None) + damaged).image_type == ()


def test_enhanced_files(shared_data: Path) -> None:
    for path in (shared_data / "dev").rglob("emri_small*.dcm"):
        received = made.read(path)
        facts = facts_of(received.dataset, received.transfer_syntax)
        assert facts.image_type[:4] == ("ORIGINAL", "PRIMARY", "T1", "NONE")
        assert (facts.modality, facts.bits_stored, facts.signed, facts.samples_per_pixel) == ("MR", 12, False, 1)
        assert facts.calling_ae == "SCANNER"
