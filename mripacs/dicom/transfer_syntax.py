"""Transfer syntaxes (PS3.5 10 and Annex A): which encode how, which the node takes, and raw deflate both ways."""

from __future__ import annotations

import zlib

from pydicom import uid

from mripacs.core.errors import NotDicomError, ObjectTooLargeError
from mripacs.dicom.headers import BIG_ENDIAN, EXPLICIT, IMPLICIT, Dialect

IMPLICIT_VR_LITTLE_ENDIAN = str(uid.ImplicitVRLittleEndian)
EXPLICIT_VR_LITTLE_ENDIAN = str(uid.ExplicitVRLittleEndian)
EXPLICIT_VR_BIG_ENDIAN = str(uid.ExplicitVRBigEndian)
DEFLATED = str(uid.DeflatedExplicitVRLittleEndian)
RLE_LOSSLESS = str(uid.RLELossless)

NATIVE_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, DEFLATED, EXPLICIT_VR_BIG_ENDIAN)

# Later than pydicom 3.0's dictionary: JPEG XL lossless, JPEG recompression, JPEG XL; Deflated Image Frame.
_LATER_SYNTAXES = tuple(f"1.2.840.10008.1.2.{suffix}" for suffix in ("4.110", "4.111", "4.112", "8.1"))
_NO_PIXELS_INSIDE = (
    "1.2.840.10008.1.2.4.204",
    "1.2.840.10008.1.2.4.205",
    "1.2.840.10008.1.2.7.",
)  # JPIP, SMPTE streams

COMPRESSED_SYNTAXES = (
    *(str(each) for each in uid.AllTransferSyntaxes if each.is_compressed and not each.is_deflated
      and not each.startswith(_NO_PIXELS_INSIDE)),
    *_LATER_SYNTAXES,
)  # fmt: skip
STORAGE_SYNTAXES = (
    NATIVE_SYNTAXES + COMPRESSED_SYNTAXES
)  # all that the node takes; what it cannot decode it keeps verbatim

LOSSY_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{suffix}" for suffix in ("50", "51", "81", "91", "93", "203", "112")
)  # may be lossless for 91, 93, 203, 112: the data set's own Lossy Image Compression decides then

_DIALECTS = {IMPLICIT_VR_LITTLE_ENDIAN: IMPLICIT, EXPLICIT_VR_BIG_ENDIAN: BIG_ENDIAN}

_CHUNK_BYTES = 1 << 20


def dialect_of(transfer_syntax: str) -> Dialect:
    """How elements are encoded; every syntax that is not native is Explicit VR Little Endian (PS3.5 A.4)."""
    return _DIALECTS.get(transfer_syntax, EXPLICIT)


def is_encapsulated(transfer_syntax: str) -> bool:
    """Whether Pixel Data is encapsulated in fragments (PS3.5 A.4); true for unknown and private syntaxes."""
    return transfer_syntax not in NATIVE_SYNTAXES


def is_deflated(transfer_syntax: str) -> bool:
    """Whether the whole data set is a deflate stream (PS3.5 A.5)."""
    return transfer_syntax == DEFLATED


def inflate(dataset: bytes, limit_bytes: int) -> bytes:
    """The data set inside a raw deflate stream (PS3.5 A.5), a trailing pad byte allowed.

    Raises ObjectTooLargeError as soon as more than `limit_bytes` come out, NotDicomError when the stream is damaged.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    rest = dataset
    try:
        while rest and not stream.eof:
            inflated += stream.decompress(rest, min(_CHUNK_BYTES, limit_bytes + 1 - len(inflated)))
            if len(inflated) > limit_bytes:
                raise ObjectTooLargeError(f"the deflated data set inflates to more than {limit_bytes} bytes")
            rest = stream.unconsumed_tail
    except zlib.error as error:
        raise NotDicomError(f"the deflated data set is damaged: {error}") from error
    if not stream.eof:
        raise NotDicomError("the deflated data set ends before its deflate stream does")
    return bytes(inflated)


def deflate(dataset: bytes) -> bytes:
    """A raw deflate stream of even length (PS3.5 A.5). The same zlib gives the same bytes."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = stream.compress(dataset) + stream.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def plain(dataset: bytes, transfer_syntax: str, limit_bytes: int) -> bytes:
    """The bytes that `scan` walks: inflated for the deflated syntax, the same bytes for every other."""
    return inflate(dataset, limit_bytes) if is_deflated(transfer_syntax) else dataset
