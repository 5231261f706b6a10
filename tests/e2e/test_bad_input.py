"""What is no object, or a broken one, over the network: a precise status, one log line, no trace, and life goes on."""

from __future__ import annotations

import struct
import zlib

import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
    generate_uid,
)

from mripacs.dimse import client
from mripacs.dimse.client import Peer
from tests.e2e import dcmtk
from tests.e2e.objects import encoded, mr_object, object_without_pixels
from tests.e2e.raw_association import RawAssociation

SUCCESS, CANNOT_UNDERSTAND, TRUNCATED, MISMATCH, NO_RESOURCES = 0x0000, 0xC000, 0xC001, 0xA900, 0xA700
UID = "1.2.3.4.5"


def deflated(data):
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def nested(depth):
    """A sequence `depth` levels deep, Explicit VR Little Endian, undefined lengths."""
    start = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return start * depth + end * depth


def header_only():
    """A valid object up to its pixels."""
    return encoded(mr_object(SOPInstanceUID=UID, PixelData=None))


REFUSED = {
    "empty": (b"", CANNOT_UNDERSTAND),
    "garbage": (bytes(range(256)) * 40, CANNOT_UNDERSTAND),
    "text": (b"This is a text file, and no image at all.\n" * 20, CANNOT_UNDERSTAND),
    "zeros": (b"\0" * 4096, CANNOT_UNDERSTAND),
    "other encoding than negotiated": (encoded(mr_object(SOPInstanceUID=UID), implicit=True), CANNOT_UNDERSTAND),
    "another instance than the command says": (encoded(mr_object()), MISMATCH),
    "another class than the command says": (
        encoded(mr_object(SOPInstanceUID=UID, SOPClassUID=BasicTextSRStorage)),
        MISMATCH,
    ),
    "no SOP Instance UID": (encoded(mr_object(SOPInstanceUID=None)), MISMATCH),
    "no Study Instance UID": (encoded(mr_object(SOPInstanceUID=UID, StudyInstanceUID=None)), MISMATCH),
    "no Series Instance UID": (encoded(mr_object(SOPInstanceUID=UID, SeriesInstanceUID="")), MISMATCH),
    "letters in a UID": (
        encoded(mr_object(SOPInstanceUID=UID)).replace(b"1.2.3.4.5\0", b"1.2.x.4.5\0"),
        MISMATCH,
    ),
}


def bad_uid_in_study():
    return encoded(mr_object(SOPInstanceUID=UID, StudyInstanceUID="1.2.3.4.5.6.7")).replace(
        b"1.2.3.4.5.6.7", b"../../etc.6.7"
    )


REFUSED["a path as Study Instance UID"] = (bad_uid_in_study(), MISMATCH)

# Objects that are DICOM, whatever their pixels are worth: they are kept byte for byte.
KEPT = {
    "too few pixels": mr_object(PixelData=b"\1\2" * 50),
    "absurd size": mr_object(Rows=65535, Columns=65535, PixelData=b"\1\2" * 50),
    "no rows": mr_object(Rows=0, Columns=0),
    "Rows missing": mr_object(Rows=None),
    "contradictory bits": mr_object(BitsAllocated=16, BitsStored=20, HighBit=3),
    "thirty-two bits": mr_object(BitsAllocated=32, BitsStored=32, HighBit=31),
    "no pixels": mr_object(PixelData=None),
    "unknown photometric interpretation": mr_object(PhotometricInterpretation="SPARKLES"),
    "ten thousand frames announced": mr_object(NumberOfFrames=10000),
    "structured report": object_without_pixels(BasicTextSRStorage, Modality="SR"),
    "key objects": object_without_pixels(KeyObjectSelectionDocumentStorage, Modality="KO"),
    "presentation state": object_without_pixels(GrayscaleSoftcopyPresentationStateStorage, Modality="PR"),
    "private SOP class": object_without_pixels("1.3.12.2.1107.5.9.1", Modality="MR"),
}


@pytest.fixture
def associated(shared_node):
    """An association whose context 1 is MR in explicit VR; at the end it must still take a good object."""
    with RawAssociation(shared_node.port, [(MRImageStorage, ExplicitVRLittleEndian)]) as association:
        yield association
        good = mr_object()
        assert association.store(1, MRImageStorage, good.SOPInstanceUID, encoded(good)).status == SUCCESS


@pytest.mark.parametrize("case", REFUSED)
def test_refused_without_a_trace(shared_node, associated, case):
    dataset, status = REFUSED[case]
    rows, log = shared_node.row_counts(), shared_node.log
    response = associated.store(1, MRImageStorage, UID, dataset)
    assert f"{response.status:04X}" == f"{status:04X}"
    assert response.comment
    assert shared_node.row_counts() == rows
    assert_one_line(shared_node.log[len(log) :])


@pytest.mark.parametrize("padded", [" {}", "{} ", "{}\0\0"])
def test_padding_is_no_part_of_a_uid(shared_node, associated, padded):
    """What a command pads is the instance of that UID: the second one contradicts the first."""
    first = mr_object()
    second = mr_object(SOPInstanceUID=first.SOPInstanceUID, PixelData=first.PixelData[::-1])
    uid = str(first.SOPInstanceUID)
    assert associated.store(1, MRImageStorage, padded.format(uid), encoded(first)).status == SUCCESS
    assert f"{associated.store(1, MRImageStorage, uid, encoded(second)).status:04X}" == "C111"
    assert shared_node.certificates()[uid]


def assert_one_line(said):
    lines = said.splitlines()
    assert len(lines) == 1
    assert "WARNING" in lines[0]


@pytest.mark.parametrize("tenth", range(10))
def test_truncated_at_each_tenth(shared_node, associated, tenth):
    """A cut in the header is refused; an object cut in its pixels is kept as it is."""
    whole = mr_object()
    dataset = encoded(whole)
    cut = dataset[: len(dataset) * tenth // 10 + 1]  # an odd place: inside a value or an element's header
    in_pixels = len(cut) > dataset.index(b"\xe0\x7f\x10\x00OW") + 12
    rows, log = shared_node.row_counts(), shared_node.log
    response = associated.store(1, MRImageStorage, whole.SOPInstanceUID, cut)
    if in_pixels:
        assert response.status == SUCCESS
        assert came_back(shared_node, whole.SOPInstanceUID) == cut
    else:
        assert response.status in (TRUNCATED, CANNOT_UNDERSTAND)
        assert shared_node.row_counts() == rows
        assert_one_line(shared_node.log[len(log) :])


def test_unknown_transfer_syntax_is_rejected_and_the_others_live_on(shared_node):
    contexts = [
        (MRImageStorage, "1.2.3.4.5.6.7"),
        (MRImageStorage, ExplicitVRLittleEndian),
        ("1.2.840.10008.5.1.4.31", ImplicitVRLittleEndian),
    ]
    with RawAssociation(shared_node.port, contexts) as association:
        assert association.results == {1: 4, 3: 0, 5: 3}
        good = mr_object()
        assert association.store(3, MRImageStorage, good.SOPInstanceUID, encoded(good)).status == SUCCESS


def test_deflated_bomb(shared_node):
    """More than limits.max_object_bytes come out: refused, whatever it would have been."""
    bomb = deflated(encoded(mr_object(SOPInstanceUID=UID)) + b"\0" * shared_node.max_object_bytes)
    assert len(bomb) < shared_node.max_object_bytes / 100
    rows = shared_node.row_counts()
    with RawAssociation(shared_node.port, [(MRImageStorage, DeflatedExplicitVRLittleEndian)]) as association:
        assert association.store(1, MRImageStorage, UID, bomb).status == NO_RESOURCES
        assert shared_node.row_counts() == rows
        assert association.store(1, MRImageStorage, UID, b"\xff" * 100).status == CANNOT_UNDERSTAND
        good = mr_object()
        assert association.store(1, MRImageStorage, good.SOPInstanceUID, deflated(encoded(good))).status == SUCCESS


def test_too_large(shared_node, associated):
    large = encoded(mr_object(SOPInstanceUID=UID, PixelData=b"\0" * (shared_node.max_object_bytes + 2)))
    rows = shared_node.row_counts()
    assert associated.store(1, MRImageStorage, UID, large).status == NO_RESOURCES
    assert shared_node.row_counts() == rows


@pytest.mark.parametrize("case", KEPT)
def test_kept_byte_for_byte(shared_node, case):
    dataset = KEPT[case]
    sop_class, uid, sent = dataset.SOPClassUID, generate_uid(), encoded(dataset)
    sent = sent.replace(encoded_uid(dataset.SOPInstanceUID), encoded_uid(uid))
    with RawAssociation(shared_node.port, [(sop_class, ExplicitVRLittleEndian)]) as association:
        assert association.store(1, sop_class, uid, sent).status == SUCCESS
        assert came_back(shared_node, uid) == sent


@pytest.mark.parametrize("character_set", [b"ISO_IR 999", b"\xff\xfe\xfd\\\0\0\0\0\0\0", b"\\\\\\\\\\\\\\\\\\ "])
def test_odd_character_sets_are_kept(shared_node, associated, character_set):
    dataset = mr_object()
    sent = (
        encoded(dataset).replace(b"ISO_IR 100", character_set).replace(b"Nobody^Made ", b"\xff\x1b$B\x80^\x1b(Q\xfeab")
    )
    assert len(sent) == len(encoded(dataset))
    assert associated.store(1, MRImageStorage, dataset.SOPInstanceUID, sent).status == SUCCESS
    assert dataset.PatientID in {row["PatientID"] for row in found(shared_node, SOPInstanceUID=dataset.SOPInstanceUID)}


def found(node, **keys):
    """Rows that C-FIND gives at image level."""
    return list(client.find(Peer("127.0.0.1", node.port), "IMAGE", {"PatientID": "", **keys}))


def encoded_uid(uid):
    """A SOP Instance UID element in Explicit VR Little Endian."""
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", len(value)) + value


def test_sequences_a_thousand_deep(shared_node, associated):
    whole = mr_object()
    dataset = encoded(whole)
    pixels = dataset.index(b"\xe0\x7f\x10\x00OW")
    deep = dataset[:pixels] + nested(1000) + dataset[pixels:]
    assert associated.store(1, MRImageStorage, whole.SOPInstanceUID, deep).status in (SUCCESS, CANNOT_UNDERSTAND)
    shared_node.certificates()


def test_pixels_that_no_decoder_takes(shared_node):
    """Encapsulated rubbish is kept verbatim and comes back in its own transfer syntax only."""
    whole = mr_object(PixelData=None)
    fragments = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 8) + b"rubbish!"
    pixels = (
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        + fragments
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    with RawAssociation(shared_node.port, [(MRImageStorage, JPEGBaseline8Bit)]) as association:
        assert association.store(1, MRImageStorage, whole.SOPInstanceUID, encoded(whole) + pixels).status == SUCCESS
    assert shared_node.certificates()[whole.SOPInstanceUID]["tier"] == "verbatim"
    output = dcmtk.getscu(
        shared_node.port, shared_node.folder / "none", "IMAGE", SOPInstanceUID=whole.SOPInstanceUID, ok=range(256)
    )
    assert "Number of Failed Suboperations    : 1" in output


def came_back(node, uid):
    """The data set's bytes that C-GET brings for a UID."""
    found = []
    rows = node.certificates()[uid]
    client.get(Peer("127.0.0.1", node.port), "IMAGE", {"SOPInstanceUID": uid}, [rows["sop_class_uid"]], found.append)
    assert [each.sop_instance_uid for each in found] == [uid]
    return found[0].dataset
