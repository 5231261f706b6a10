"""One object in many encodings, and objects that differ."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mripacs.core.model import Outgoing
from mripacs.dicom.encode import Element, item_bytes
from mripacs.dicom.part10 import read_part10, write_part10
from mripacs.dicom.same import same_object
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT
from mripacs.dicom.transfer_syntax import IMPLICIT_VR_LITTLE_ENDIAN
from tests.dicom import made


def test_one_mosaic_in_seven_encodings(shared_data: Path) -> None:
    """dcm_qa_ts holds one image as its publisher's tools encoded it."""
    folder = shared_data / "dev" / "neurolabusc__dcm_qa_ts"
    objects = [made.read(path) for path in sorted(folder.rglob("[123].dcm"))]
    assert len({each.transfer_syntax for each in objects}) == 3
    first = objects[0]
    for other in objects[1:]:
        same = same_object(first.dataset, first.transfer_syntax, other.dataset, other.transfer_syntax)
        assert same == (first.sop_instance_uid == other.sop_instance_uid)


@pytest.mark.parametrize(("program", "options"), [("dcmcjpls", []), ("dcmcrle", [])])
def test_lossless_compression_by_dcmtk(
    shared_data: Path, require_program: Callable[[str], Path], tmp_path: Path, program: str, options: list[str]
) -> None:
    for name in ("MR_small.dcm", "emri_small.dcm", "1.dcm"):
        received = made.find(shared_data, name)
        before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
        before.write_bytes(
            write_part10(
                Outgoing(received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax, received.dataset)
            )
        )
        subprocess.run([require_program(program), *options, "+un", before, after], check=True, capture_output=True)
        compressed = read_part10(after)
        assert compressed.transfer_syntax != received.transfer_syntax
        assert same_object(received.dataset, received.transfer_syntax, compressed.dataset, compressed.transfer_syntax)


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": b"4712"},
        {"PatientID": None},
        {"SeriesNumber": b"1"},
        {"PixelData": bytes(12)},
        {"PixelData": None},
        {"Rows": made.us(3), "Columns": made.us(2)},
    ],
)
def test_any_difference_counts(changes: dict[str, bytes | None]) -> None:
    one = made.image(PatientID=b"4711")
    assert not same_object(one, EXPLICIT, made.image(**{"PatientID": b"4711"} | changes), EXPLICIT)


def test_what_does_not_count() -> None:
    one = made.image(PatientID=b"4711")
    group_length = b"\x08\x00\x00\x00UL\4\0\1\2\3\4"
    padding = made.explicit([(0xFFFCFFFC, "OB", bytes(20))])
    assert same_object(group_length + one + padding + bytes(100), EXPLICIT, one, EXPLICIT)
    assert same_object(made.image(PatientID=b"4711  "), EXPLICIT, one, EXPLICIT)


def test_a_private_sequence_that_a_peer_did_not_know() -> None:
    item = item_bytes([Element(0x00091002, "US", made.us(7))])
    known = made.explicit([(0x00080060, "CS", b"MR"), (0x00091001, "SQ", item)])
    implicit_item = b"\xfe\xff\x00\xe0\x0a\0\0\0" + b"\x09\x00\x02\x10\x02\0\0\0\7\0"
    unknown = made.explicit([(0x00080060, "CS", b"MR"), (0x00091001, "UN", implicit_item)])
    implicit = b"\x08\x00\x60\x00\x02\0\0\0MR" + b"\x09\x00\x01\x10\x12\0\0\0" + implicit_item
    assert same_object(known, EXPLICIT, unknown, EXPLICIT)
    assert same_object(known, EXPLICIT, implicit, IMPLICIT_VR_LITTLE_ENDIAN)
    assert not same_object(known, EXPLICIT, unknown.replace(b"\7\0", b"\x08\0"), EXPLICIT)


def test_what_cannot_be_understood_is_the_same_only_byte_for_byte() -> None:
    garbage = b"no data set at all"
    assert same_object(garbage, EXPLICIT, garbage, EXPLICIT)
    assert not same_object(garbage, EXPLICIT, garbage + b"!", EXPLICIT)
