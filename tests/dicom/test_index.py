"""Index attributes of real and odd data sets, and the check of identity."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.multival import MultiValue
from pydicom.valuerep import IS, DSfloat

from mripacs.core.errors import InvalidIdentityError
from mripacs.core.model import IndexAttributes, Level
from mripacs.dicom.index import INDEX_KEYWORDS, check_identity, index_attributes
from mripacs.dicom.scan import scan
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT
from mripacs.dicom.values import LONGEST_VALUE
from tests.dicom import made


def indexed(dataset: bytes, syntax: str = EXPLICIT) -> IndexAttributes:
    return index_attributes(dataset, scan(dataset, syntax), syntax)


def peer_text(value: Any) -> str:
    """A value as its element's text has it; pydicom keeps the text of numbers beside their value."""
    values = value if isinstance(value, (MultiValue, list)) else [value]
    texts = (getattr(each, "original_string", each) if isinstance(each, (DSfloat, IS)) else each for each in values)
    return "\\".join(str(text).strip(" \0") for text in texts)


def test_attributes_are_pydicoms(dev_files: list[Path]) -> None:
    for path in dev_files[::5]:
        received = made.read(path)
        attributes = indexed(received.dataset, received.transfer_syntax)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these files' own faults
            peer = pydicom.dcmread(path, stop_before_pixels=True)
            for level, found in zip(
                Level, (attributes.patient, attributes.study, attributes.series, attributes.instance), strict=True
            ):
                for keyword in INDEX_KEYWORDS[level]:
                    expected = peer.get(keyword)
                    if expected in (None, "", []):
                        assert keyword not in found, path
                    else:
                        assert peer_text(expected) == str(found[keyword]), (path, keyword)


def test_identity_of_every_file(dev_files: list[Path]) -> None:
    for path in dev_files:
        received = made.read(path)
        attributes = indexed(received.dataset, received.transfer_syntax)
        check_identity(attributes, received.sop_class_uid, received.sop_instance_uid)
        assert attributes.instance["SOPInstanceUID"] == received.sop_instance_uid


def test_text_integers_and_lengths() -> None:
    attributes = indexed(
        made.image(
            SpecificCharacterSet=b"ISO_IR 192",
            PatientName="Müller^Jörg=王 ".encode(),
            PatientID=b" 4711 ",
            SeriesNumber=b" +12 ",
            NumberOfFrames=b"many",
            ImageType=b"ORIGINAL\\ PRIMARY \\\\M ",
            ImageComments=b"x" * 5000,
        )
    )
    assert attributes.patient == {"PatientName": "Müller^Jörg=王", "PatientID": "4711"}
    assert attributes.series["SeriesNumber"] == 12
    assert attributes.instance["ImageType"] == "ORIGINAL\\PRIMARY\\\\M"
    assert attributes.instance["Rows"] == 2
    assert "NumberOfFrames" not in attributes.instance  # not an integer: left out, not invented
    assert attributes.instance["ImageComments"] == "x" * LONGEST_VALUE


def test_nul_inside_text_is_replaced() -> None:
    assert indexed(made.image(PatientID=b"47\x0011")).patient["PatientID"] == "47\ufffd11"


@pytest.mark.parametrize("uid", [b"1.2.3.04", b"0.0.0.0.7", b"1" + b".2" * 31, b"2.25.1\0"])
def test_tolerated_uids(uid: bytes) -> None:
    check_identity(indexed(made.image(SOPInstanceUID=uid)), made.MR_IMAGE, uid.decode().rstrip("\0"))


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize(
    "uid", [None, b"", b"1.2..3", b".1.2", b"1.2.", b"1.2.x", b"1.2\\1.3", b"1.2 3", b"1" * 65, b"\xff"]
)
def test_refused_uids(keyword: str, uid: bytes | None) -> None:
    attributes = indexed(made.image(**{keyword: uid}))
    with pytest.raises(InvalidIdentityError, match=keyword):
        check_identity(attributes, made.MR_IMAGE, "1.2.3")


@pytest.mark.parametrize(
    ("class_uid", "instance_uid"), [("1.2.840.10008.5.1.4.1.1.2", "1.2.3"), (made.MR_IMAGE, "1.2.4")]
)
def test_identity_that_contradicts_the_command(class_uid: str, instance_uid: str) -> None:
    with pytest.raises(InvalidIdentityError):
        check_identity(indexed(made.image()), class_uid, instance_uid)


@pytest.mark.parametrize("padded", ["{} ", " {}", "{}\0", "\0{}"])
def test_the_command_names_uids_without_padding(padded: str) -> None:
    """What is stored goes by the command's UID: one instance has one."""
    attributes = indexed(made.image())
    for uids in ((made.MR_IMAGE, padded.format("1.2.3")), (padded.format(made.MR_IMAGE), "1.2.3")):
        with pytest.raises(InvalidIdentityError):
            check_identity(attributes, *uids)
