"""The table of transfer syntaxes, and deflate within bounds."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid

from mripacs.core.errors import NotDicomError, ObjectTooLargeError
from mripacs.dicom.transfer_syntax import (
    DEFLATED,
    NATIVE_SYNTAXES,
    STORAGE_SYNTAXES,
    deflate,
    dialect_of,
    inflate,
    is_encapsulated,
    plain,
)


@given(st.binary(max_size=5000))
def test_deflate_is_inverse_and_even(dataset: bytes) -> None:
    deflated = deflate(dataset)
    assert len(deflated) % 2 == 0
    assert inflate(deflated, 5000) == dataset
    assert plain(deflated, DEFLATED, 5000) == dataset


@pytest.mark.parametrize("limit", [0, 1, 999_999])
def test_bombs_stop_at_the_limit(limit: int) -> None:
    with pytest.raises(ObjectTooLargeError, match=str(limit)):
        inflate(deflate(bytes(1_000_000)), limit)
    assert len(inflate(deflate(bytes(1_000_000)), 1_000_000)) == 1_000_000


@pytest.mark.parametrize("damaged", [b"", b"\xff" * 20, deflate(bytes(range(256)) * 50)[:-40], zlib.compress(b"abc")])
def test_damaged_streams(damaged: bytes) -> None:
    with pytest.raises(NotDicomError):
        inflate(damaged, 100_000)


def test_what_is_encapsulated() -> None:
    assert [syntax for syntax in STORAGE_SYNTAXES if not is_encapsulated(syntax)] == list(NATIVE_SYNTAXES)
    assert is_encapsulated("1.2.840.113619.5.2.77")  # unknown and private ones
    assert len(set(STORAGE_SYNTAXES)) == len(STORAGE_SYNTAXES)


@pytest.mark.parametrize(
    "syntax",
    [
        uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless,
        uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000, uid.JPEG2000MCLossless, uid.JPEG2000MC,
        uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K, uid.RLELossless, uid.MPEG2MPML, uid.HEVCMP51,
        "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112",
    ],
)  # fmt: skip
def test_every_compressed_syntax_is_taken(syntax: str) -> None:
    assert syntax in STORAGE_SYNTAXES


@pytest.mark.parametrize("syntax", STORAGE_SYNTAXES)
def test_dialects_are_pydicoms(syntax: str) -> None:
    known = uid.UID(syntax)
    if known in uid.AllTransferSyntaxes:
        assert dialect_of(syntax).implicit == known.is_implicit_VR
        assert dialect_of(syntax).big_endian != known.is_little_endian
