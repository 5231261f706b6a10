"""Data sets made by hand, for what the real ones do not hold."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable
from pathlib import Path

from mripacs.core.model import Certificate, FrameRecord, Generation, ReceivedObject, Tier
from mripacs.dicom.encode import Element, explicit_bytes
from mripacs.dicom.part10 import read_part10

MR_SMALL = "dev/pydicom__pydicom"
SOP_CLASS = 0x00080016
SOP_INSTANCE = 0x00080018
STUDY = 0x0020000D
SERIES = 0x0020000E

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"


@functools.cache
def read(path: Path) -> ReceivedObject:
    """A real file, read once."""
    return read_part10(path)


def find(shared_data: Path, name: str) -> ReceivedObject:
    """The dev file of this name."""
    return read(next((shared_data / "dev").rglob(name)))


def explicit(elements: Iterable[tuple[int, str, bytes]]) -> bytes:
    """An Explicit VR Little Endian data set of these elements, in the order given."""
    return b"".join(explicit_bytes(Element(*element)) for element in elements)


def us(value: int) -> bytes:
    """A value of VR US."""
    return struct.pack("<H", value)


def image(**changes: bytes | None) -> bytes:
    """A 2 x 3 image of 16-bit words in Explicit VR Little Endian; keyword arguments replace values, None leaves out."""
    values: dict[str, bytes | None] = {
        "SOPClassUID": MR_IMAGE.encode(),
        "SOPInstanceUID": b"1.2.3",
        "Modality": b"MR",
        "StudyInstanceUID": b"1.2",
        "SeriesInstanceUID": b"1.2.1",
        "SamplesPerPixel": us(1),
        "PhotometricInterpretation": b"MONOCHROME2",
        "NumberOfFrames": None,
        "Rows": us(2),
        "Columns": us(3),
        "BitsAllocated": us(16),
        "BitsStored": us(12),
        "HighBit": us(11),
        "PixelRepresentation": us(0),
        "PixelData": struct.pack("<6H", 1, 2, 3, 4, 5, 4095),
    }
    values.update(changes)
    return explicit((*_TAGS[name], value) for name, value in sorted(values.items(), key=_by_tag) if value is not None)


def _by_tag(named: tuple[str, object]) -> int:
    return _TAGS[named[0]][0]


_TAGS = {
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "SOPClassUID": (SOP_CLASS, "UI"),
    "SOPInstanceUID": (SOP_INSTANCE, "UI"),
    "Modality": (0x00080060, "CS"),
    "ReferencedImageSequence": (0x00081140, "SQ"),
    "DerivationDescription": (0x00082111, "ST"),
    "PatientName": (0x00100010, "PN"),
    "PatientID": (0x00100020, "LO"),
    "StudyInstanceUID": (STUDY, "UI"),
    "SeriesInstanceUID": (SERIES, "UI"),
    "SeriesNumber": (0x00200011, "IS"),
    "ImageComments": (0x00204000, "LT"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "PlanarConfiguration": (0x00280006, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "SmallestImagePixelValue": (0x00280106, "US"),
    "LargestImagePixelValue": (0x00280107, "US"),
    "PixelPaddingValue": (0x00280120, "US"),
    "LossyImageCompression": (0x00282110, "CS"),
    "LossyImageCompressionRatio": (0x00282112, "DS"),
    "LossyImageCompressionMethod": (0x00282114, "CS"),
    "RealWorldValueMappingSequence": (0x00409096, "SQ"),
    "OverlayBitPosition": (0x60000102, "US"),
    "PixelData": (0x7FE00010, "OW"),
    "DigitalSignaturesSequence": (0xFFFAFFFA, "SQ"),
}


def nested(depth: int, *, implicit: bool) -> bytes:
    """A data set whose Referenced Image Sequence (0008,1140) holds itself `depth` deep, all lengths undefined."""
    tag = b"\x08\x00\x40\x11"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    sequence = tag + (b"" if implicit else b"SQ\0\0") + b"\xff\xff\xff\xff"
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return (sequence + item) * depth + ends * depth


def certificate(generation: Generation = Generation.FIRST_LOSS) -> Certificate:
    """A certificate of one frame."""
    frame = FrameRecord(generation, rel_error=0.049, max_error=17, psnr_db=40.0, step=3.0, k=100)
    return Certificate(
        tier=Tier.KWAVELET,
        rule="MR image",
        reason="always",
        codec="kwavelet 1",
        target="rel_error=0.05",
        generation=generation,
        received_digest="0" * 64,
        source_pixel_digest="1" * 64,
        decoded_pixel_digest="2" * 64,
        frames=(frame,),
        received_bytes=10_000,
        received_pixel_bytes=8_192,
        restores_received=False,
    )
