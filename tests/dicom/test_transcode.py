"""Round trips between transfer syntaxes, checked with pydicom's reader and with DCMTK."""

from __future__ import annotations

import io
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from mripacs.core.errors import TranscodeError
from mripacs.core.model import Outgoing
from mripacs.dicom.datasets import from_dataset
from mripacs.dicom.part10 import read_part10, to_dataset, write_part10
from mripacs.dicom.same import same_object
from mripacs.dicom.scan import scan
from mripacs.dicom.transcode import targets_for, transcode
from mripacs.dicom.transfer_syntax import (
    DEFLATED,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    NATIVE_SYNTAXES,
    RLE_LOSSLESS,
    inflate,
    is_encapsulated,
)
from tests.dicom import made

LARGEST_SAMPLED = 3_000_000  # bytes; Canon's 520 frames alone would take a third of the time
NOT_COMPARED = (0x7FE00010, 0x7FE00001, 0x7FE00002)  # compared as pixels elsewhere


def pydicom_elements(dataset: bytes, syntax: str) -> Dataset:
    bare = inflate(dataset, 2**28) if syntax == DEFLATED else dataset
    known = UID(syntax)
    return read_dataset(io.BytesIO(bare), known.is_implicit_VR, known.is_little_endian)


def sample(dev_files: list[Path]) -> list[Path]:
    """One file of each publisher's folder, syntax and SOP class, so that every encoding is there once."""
    found: dict[tuple[str, str, str], Path] = {}
    for path in dev_files:
        received = made.read(path)
        publisher = path.parts[path.parts.index("dev") + 1]
        found.setdefault((publisher, received.transfer_syntax, received.sop_class_uid), path)
    return [path for path in found.values() if path.stat().st_size < LARGEST_SAMPLED]


@pytest.mark.parametrize("target", NATIVE_SYNTAXES)
def test_every_element_keeps_its_value(dev_files: list[Path], target: str) -> None:
    for path in sample(dev_files):
        received = made.read(path)
        written = transcode(received.dataset, received.transfer_syntax, target)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the files' own faults
            before = pydicom_elements(
                received.dataset[: _end(received.dataset, received.transfer_syntax)], received.transfer_syntax
            )
            after = pydicom_elements(written, target)
            assert public_values(after) == public_values(before), path


def public_values(dataset: Dataset) -> dict[int, object]:
    """Values at every depth, private ones left out: they have lost their VR on one of the sides."""
    found: dict[int, object] = {}
    for element in dataset:
        if element.VR == "SQ":
            found[element.tag] = [public_values(item) for item in element.value]
        elif not element.tag.is_private and element.tag.element != 0 and element.tag not in NOT_COMPARED:
            found[element.tag] = element.value
    return {tag: value for tag, value in found.items() if not BaseTag(tag).is_private}


def _end(dataset: bytes, syntax: str) -> int:
    return len(dataset) if syntax == DEFLATED else scan(dataset, syntax).end


@pytest.mark.parametrize("via", NATIVE_SYNTAXES)
def test_the_way_back_gives_the_same_object(dev_files: list[Path], via: str) -> None:
    for path in sample(dev_files):
        received = made.read(path)
        explicit = transcode(received.dataset, received.transfer_syntax, EXPLICIT_VR_LITTLE_ENDIAN)
        there = transcode(explicit, EXPLICIT_VR_LITTLE_ENDIAN, via)
        back = transcode(there, via, EXPLICIT_VR_LITTLE_ENDIAN)
        assert same_object(back, EXPLICIT_VR_LITTLE_ENDIAN, received.dataset, received.transfer_syntax), path
        if via != IMPLICIT_VR_LITTLE_ENDIAN:  # which forgets VRs
            assert transcode(back, EXPLICIT_VR_LITTLE_ENDIAN, via) == there, path


@pytest.mark.parametrize("option", ["+te", "+ti", "+tb"])
def test_dcmtk_agrees(shared_data: Path, require_program: Callable[[str], Path], tmp_path: Path, option: str) -> None:
    dcmconv = require_program("dcmconv")
    target = {"+te": EXPLICIT_VR_LITTLE_ENDIAN, "+ti": IMPLICIT_VR_LITTLE_ENDIAN, "+tb": EXPLICIT_VR_BIG_ENDIAN}[option]
    for name in ("MR_small.dcm", "MR_small_bigendian.dcm", "2.dcm", "emri_small.dcm", "0001.dcm"):
        received = made.find(shared_data, name)
        ours, theirs = tmp_path / "ours.dcm", tmp_path / "theirs.dcm"
        written = transcode(received.dataset, received.transfer_syntax, target)
        ours.write_bytes(write_part10(Outgoing(received.sop_class_uid, received.sop_instance_uid, target, written)))
        subprocess.run([dcmconv, "-g", option, ours, theirs], check=True, capture_output=True)
        converted = read_part10(theirs)
        assert converted.transfer_syntax == target
        assert same_object(written, target, converted.dataset, converted.transfer_syntax), name
        assert same_object(received.dataset, received.transfer_syntax, converted.dataset, target), name


def test_the_same_syntax_gives_the_same_bytes(dev_files: list[Path]) -> None:
    for path in dev_files[::10]:
        received = made.read(path)
        assert transcode(received.dataset, received.transfer_syntax, received.transfer_syntax) is received.dataset


@pytest.mark.parametrize("syntax", [*NATIVE_SYNTAXES, RLE_LOSSLESS])
def test_targets_begin_with_the_syntax_itself(syntax: str) -> None:
    targets = targets_for(syntax)
    assert targets[0] == syntax
    assert set(targets) == {syntax, *NATIVE_SYNTAXES}


def test_into_compressed_syntaxes_nothing_goes() -> None:
    with pytest.raises(TranscodeError):
        transcode(made.image(), EXPLICIT_VR_LITTLE_ENDIAN, RLE_LOSSLESS)


def test_what_cannot_be_decoded_cannot_be_sent_natively(shared_data: Path) -> None:
    truncated = made.find(shared_data, "MR_truncated.dcm")
    with pytest.raises(TranscodeError, match="ends inside"):
        transcode(truncated.dataset, truncated.transfer_syntax, IMPLICIT_VR_LITTLE_ENDIAN)
    compressed = made.find(shared_data, "MR_small_RLE.dcm")
    with pytest.raises(TranscodeError, match="decoded"):
        transcode(compressed.dataset, "1.2.840.10008.1.2.4.102", EXPLICIT_VR_LITTLE_ENDIAN)
    with pytest.raises(TranscodeError, match="read"):
        transcode(bytes(100), IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)


def test_decoded_pixels_are_native(dev_files: list[Path]) -> None:
    for path in dev_files:
        received = made.read(path)
        if is_encapsulated(received.transfer_syntax):
            written = transcode(received.dataset, received.transfer_syntax, EXPLICIT_VR_LITTLE_ENDIAN)
            pixel = scan(written, EXPLICIT_VR_LITTLE_ENDIAN).pixel
            assert (pixel.encapsulated, pixel.vr) == (False, "OW")


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("depth", [1_000, 20_000])
def test_deep_nesting_is_written_without_recursion(depth: int, implicit: bool) -> None:
    forms = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
    source, target = reversed(forms) if implicit else forms
    dataset = made.nested(depth, implicit=implicit)
    written = transcode(dataset, source, target)
    assert written == made.nested(depth, implicit=not implicit)
    assert transcode(written, target, source) == dataset


def test_vrs_that_implicit_vr_does_not_carry() -> None:
    dataset = made.explicit(
        [
            (0x00080005, "CS", b"ISO_IR 192"),
            (0x00090010, "LO", b"MAKER"),
            (0x00091001, "FD", b"12345678"),
            (0x00280103, "US", made.us(1)),
            (0x00280106, "SS", b"\xff\xff"),
        ]
    )
    implicit = transcode(dataset, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    back = scan(transcode(implicit, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN)
    assert [span.vr for span in back.elements.values()] == ["CS", "LO", "UN", "US", "SS"]


def test_values_too_long_for_their_vr_become_un() -> None:
    tag, text = b"\x08\x00\x70\x00", b"x" * 70_000
    implicit = tag + len(text).to_bytes(4, "little") + text
    written = transcode(implicit, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
    span = scan(written, EXPLICIT_VR_LITTLE_ENDIAN).elements[0x00080070]
    assert (span.vr, written[span.value_start : span.value_end]) == ("UN", text)
    assert transcode(written, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN) == implicit


def test_unknown_values_stay_little_endian_in_big_endian() -> None:
    dataset = made.explicit(
        [(0x00080060, "CS", b"MR"), (0x00091001, "UN", b"\1\2\3\4"), (0x00280010, "US", made.us(258))]
    )
    big = transcode(dataset, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    assert b"UN\0\0\0\0\0\4\1\2\3\4" in big
    assert big.endswith(b"US\0\2\1\2")
    assert transcode(big, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN) == dataset


def test_compressed_colour_becomes_native_by_pixel() -> None:
    eight = {"BitsAllocated": made.us(8), "BitsStored": made.us(8), "HighBit": made.us(7)}
    native = made.image(
        **eight,
        SamplesPerPixel=made.us(3),
        PhotometricInterpretation=b"RGB",
        PlanarConfiguration=made.us(0),
        PixelData=bytes(range(18)),
    )
    dataset = to_dataset(Outgoing(made.MR_IMAGE, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, native))
    dataset.compress(UID(RLE_LOSSLESS), encoding_plugin="pydicom", generate_instance_uid=False)
    compressed = from_dataset(dataset)
    written = transcode(compressed.dataset, compressed.transfer_syntax, EXPLICIT_VR_LITTLE_ENDIAN)
    assert same_object(written, EXPLICIT_VR_LITTLE_ENDIAN, compressed.dataset, compressed.transfer_syntax)
    assert to_dataset(
        Outgoing(made.MR_IMAGE, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, written)
    ).pixel_array.tobytes() == bytes(range(18))
    assert (
        scan(written, EXPLICIT_VR_LITTLE_ENDIAN).elements.keys()
        == scan(native, EXPLICIT_VR_LITTLE_ENDIAN).elements.keys()
    )
