"""Objects made to harm whoever reads them: what they would do to the node, to other peers or to the disk is bounded."""

from __future__ import annotations

import asyncio
import logging
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from starlette.testclient import TestClient

from mripacs import Archive, load_settings
from mripacs.core.errors import ConflictError, InvalidIdentityError, MripacsError, ObjectTooLargeError, QueryError
from mripacs.core.logging import TextLines
from mripacs.core.model import ReceivedFrom, ReceivedObject, Tier
from mripacs.dicom import nesting, scan, walking
from mripacs.dicomweb.app import build
from mripacs.dicomweb.store_parts import MAX_METADATA_BYTES, MAX_MODELS, Intake
from mripacs.dimse import identifiers
from tests.e2e.objects import encoded, mr_object
from tests.fuzz.memory import PeakMemory

MIB = 2**20
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
STUDIES = "/dicom-web/studies"


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """In Explicit VR Little Endian; the value is padded to even length."""
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    size, head = len(value) if length is None else length, struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    long = vr in ("OB", "SQ", "UN")
    return head + (struct.pack("<HI", 0, size) if long else struct.pack("<H", size)) + value


def report(number: object, more: bytes = b"") -> ReceivedObject:
    """An object without pixels, of a study of its own."""
    uid = f"1.2.3.{number}"
    head = [(0x00080016, "UI", REPORT), (0x00080018, "UI", uid), (0x00080060, "CS", "SR")]
    head += [(0x0020000D, "UI", f"{uid}.1"), (0x0020000E, "UI", f"{uid}.2")]
    dataset = b"".join(element(tag, vr, text.encode()) for tag, vr, text in head) + more
    return ReceivedObject(dataset, ExplicitVRLittleEndian, REPORT, uid, "test")


def part10(received: ReceivedObject, syntax: str) -> bytes:
    """A file whose meta information names any transfer syntax."""
    return b"\0" * 128 + b"DICM" + element(0x00020010, "UI", syntax.encode()) + received.dataset


@pytest.fixture
def archive(tmp_path):
    with Archive.open(settings=settings_of(tmp_path)) as opened:
        yield opened


def settings_of(folder, **limits):
    flags = {"archive": {"directory": folder / "archive"}, "web": {"workers": 0}, "limits": limits}
    return load_settings(flags=flags, environment={})


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1\r\nX-Evil: 1", "1.2\n", "1." * 40 + "1", "..", "a/../b"])
def test_a_transfer_syntax_that_is_no_uid(archive, syntax):
    """It would become a line of a multipart answer's headers."""
    with pytest.raises(InvalidIdentityError, match="TransferSyntaxUID is no UID"):
        archive.store(part10(report(1), syntax))
    assert list(archive) == []


@pytest.mark.parametrize("uid", ["..", ".", "1..2", "../../x", "1.2/3", "1.2\n3", "1.2\x00/x", "1" * 65])
def test_uids_that_are_paths(archive, uid):
    received = report(1)
    dataset = received.dataset.replace(element(0x0020000D, "UI", b"1.2.3.1.1"), element(0x0020000D, "UI", uid.encode()))
    with pytest.raises(InvalidIdentityError, match="StudyInstanceUID"):
        archive.store(ReceivedObject(dataset, ExplicitVRLittleEndian, REPORT, "1.2.3.1", "test"))


def nested(depth: int) -> bytes:
    """Private sequences of undefined length in each other."""
    opening = struct.pack("<HH2sHI", 0x0041, 0x1001, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 2**32 - 1
    )
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return element(0x00410010, "LO", b"ME") + opening * depth + closing * depth


@pytest.mark.parametrize("depth", [60, 100, 10_000])
def test_sequences_without_end(tmp_path, depth):
    """Kept as they came; metadata, in JSON and XML, shows them down to a depth: one object must not hide its study."""
    settings = settings_of(tmp_path)
    received = report(depth, nested(depth))
    with Archive.open(settings=settings) as archive:
        uid = archive.store(received).sop_instance_uid
        assert archive.fetch_encoded(uid).dataset == received.dataset
        with TestClient(build(archive, settings), base_url="http://127.0.0.1") as client, PeakMemory() as memory:
            for form in ("application/dicom+json", 'multipart/related; type="application/dicom+xml"'):
                answer = client.get(f"{STUDIES}/{uid}.1/metadata", headers={"Accept": form})
                assert answer.status_code == 200, answer.text
                assert b"00411001" in answer.content
    assert memory.growth < 64 * MIB


def hidden(depth: int, content: bytes) -> bytes:
    """A value of VR UN that holds an implicit sequence, whose item holds such a value, and so on."""
    for _ in range(depth):
        inner = struct.pack("<HHI", 0x0041, 0x1001, len(content)) + content
        content = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    return element(0x00410010, "LO", b"ME") + element(0x00411001, "UN", content)


def test_sequences_hidden_in_each_other(archive):
    """Sent again, slightly changed, it is compared: that copied each level, a gigabyte for these 400 kB."""
    first = report(1, hidden(2000, bytes(400_000)))
    other = ReceivedObject(first.dataset[:-2] + b"\1\1", ExplicitVRLittleEndian, REPORT, first.sop_instance_uid, "test")
    archive.store(first)
    with PeakMemory() as memory, pytest.raises(ConflictError):
        archive.store(other)
    assert memory.growth < 64 * MIB


def test_a_bomb_in_a_file_that_is_imported_or_sent_by_stow(tmp_path):
    """The limit of an object holds for what comes out of the deflate stream before anything is read of it."""
    settings = settings_of(tmp_path, max_object_bytes=4 * MIB)
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (
        stream.compress(report(1).dataset)
        + stream.compress(element(0x00420011, "OB", bytes(400 * MIB)))
        + stream.flush()
    )
    file = part10(ReceivedObject(bomb, "", "", "", "test"), DeflatedExplicitVRLittleEndian)
    assert len(file) < MIB
    with Archive.open(settings=settings) as archive:
        with PeakMemory() as memory, pytest.raises(ObjectTooLargeError, match="inflates to more than"):
            archive.store(file)
        with TestClient(build(archive, settings), base_url="http://127.0.0.1") as client, PeakMemory() as of_stow:
            answer = client.post(STUDIES, content=file, headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 413
    assert memory.growth < 32 * MIB
    assert of_stow.growth < 48 * MIB


METADATA = {
    "longer than allowed": (b"[" + b" " * MAX_METADATA_BYTES + b"]", 413),
    "millions of models": (b"[" + b"{}," * (MAX_METADATA_BYTES // 3 - 2) + b"{}]", 413),
    "more than allowed": (b"[" + b"{}," * MAX_MODELS + b"{}]", 413),
    "deep": (b'[{"00400A730":' * 3000, 400),
    "deep sequences": (b'[{"0040A730":{"vr":"SQ","Value":' * 300 + b"[]" + b"}}]" * 300, 400),
}


@pytest.mark.parametrize("case", METADATA)
def test_huge_metadata(tmp_path, case):
    content, status = METADATA[case]
    settings = settings_of(tmp_path)
    body = b"--limit\r\nContent-Type: application/dicom+json\r\n\r\n" + content + b"\r\n--limit--\r\n"
    headers = {"Content-Type": 'multipart/related; type="application/dicom+json"; boundary=limit'}
    with Archive.open(settings=settings) as archive:
        with TestClient(build(archive, settings), base_url="http://127.0.0.1") as client, PeakMemory() as memory:
            answer = client.post(STUDIES, content=body, headers=headers)
        assert list(archive) == []
    assert answer.status_code == status, answer.text[:300]
    assert memory.growth < 640 * MIB


def test_many_parts_of_bulk_data_take_few_files_and_little_memory(archive):
    """80 parts of 5 MiB that no metadata names yet: beyond 64 MiB they wait on disk, all in one file."""

    async def take_in():
        with Intake(archive, ReceivedFrom("test"), None, 2**30) as intake:
            for number in range(80):
                intake.begin({"content-type": "application/octet-stream", "content-location": f"urn:{number}"})
                for _ in range(5):
                    intake.write(bytes([number]) * MIB)
                await intake.end()
            assert intake._bulk["urn:7"].read() == bytes([7]) * 5 * MIB
            return len(list(Path("/proc/self/fd").iterdir()))

    before = len(list(Path("/proc/self/fd").iterdir()))
    with PeakMemory() as memory:
        assert asyncio.run(take_in()) <= before + 5  # the event loop has some, too
    assert memory.growth < 160 * MIB


@pytest.mark.parametrize("deflated", [False, True])
def test_identifiers_without_end(deflated):
    """Of a query, a retrieval, a request for commitment: pydicom makes objects of every element."""
    value = element(0x00080018, "UI", b"1.2") * (24 * MIB // 12)
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = stream.compress(value) + stream.flush() if deflated else value
    syntax = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    with PeakMemory() as memory, pytest.raises(QueryError):
        identifiers.decode_identifier(BytesIO(content), syntax)
    assert memory.growth < 64 * MIB


def test_a_deflated_identifier_is_still_read():
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = stream.compress(element(0x00080052, "CS", b"STUDY")) + stream.flush()
    found = identifiers.decode_identifier(BytesIO(content), DeflatedExplicitVRLittleEndian)
    assert identifiers.matching_keys(found) == {"QueryRetrieveLevel": "STUDY"}


def test_an_export_does_not_follow_a_link(archive, tmp_path):
    """Somebody who may write to the folder must not choose which file of ours is overwritten."""
    (identity,) = [archive.identify(archive.store(report(1)).sop_instance_uid)]
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="ascii")
    path = archive.export(identity, tmp_path / "out")
    path.unlink()
    path.symlink_to(precious)
    with pytest.raises(OSError, match="symbolic link"):
        archive.export(identity, tmp_path / "out")
    assert precious.read_text(encoding="ascii") == "mine"


@pytest.mark.parametrize("code", [0x0A, 0x0D, 0x1B, 0x85, 0x2028, 0x2029, 0x202E, 0x2066])
def test_what_a_peer_sends_stays_on_its_line_of_the_log(code):
    told = logging.LogRecord("mripacs", logging.INFO, "", 0, "from %s", (f"A{chr(code)}B",), None)
    line = TextLines().format(told)
    assert len(line.splitlines()) == 1
    assert chr(code) not in line
    assert line.endswith("B")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("elements", [1, 40])
def test_more_items_than_anybody_means(archive, monkeypatch, elements, compiled):
    """Of one sequence, or of many together: a deflated megabyte held a hundred million, two minutes of one core."""
    monkeypatch.setattr(walking, "_loaded", [])
    if compiled:
        walking.load()
    monkeypatch.setattr(nesting, "MAX_NESTED", 10_000)
    monkeypatch.setattr(scan, "MAX_NESTED", 10_000)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * (12_000 // elements) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    more = b"".join(element(0x00411001 + number, "SQ", items, 0xFFFFFFFF) for number in range(elements))
    with pytest.raises(ObjectTooLargeError, match="items and elements"):
        archive.store(report(1, element(0x00410010, "LO", b"ME") + more))


SHAPES = {
    "a frame of 4 gigapixels": {"Rows": 65535, "Columns": 65535},
    "two thousand million frames": {"Rows": 512, "Columns": 512, "NumberOfFrames": 2**31 - 1},
    "both": {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 2**31 - 1},
    "just beyond the limit": {"Rows": 16384, "Columns": 16385},
}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("shape", SHAPES)
def test_dimensions_that_nobody_has(archive, shape, syntax):
    """Kept as it came, without an array of what the header claims; read again, its pixels are an error."""
    sent = mr_object(**SHAPES[shape])
    content = bytes(64)
    if syntax is not ExplicitVRLittleEndian:
        content = encapsulate([bytes(64)])
        sent["PixelData"].VR, sent["PixelData"].is_undefined_length = "OB", True
    sent.PixelData = content
    received = ReceivedObject(encoded(sent), str(syntax), str(sent.SOPClassUID), str(sent.SOPInstanceUID), "test")
    with PeakMemory() as memory:
        receipt = archive.store(received)
        assert receipt.certificate.tier is Tier.VERBATIM
        assert archive.fetch_encoded(receipt.sop_instance_uid).dataset == received.dataset
        with pytest.raises(MripacsError):
            archive.image(receipt.sop_instance_uid).native(1)
    assert memory.growth < 64 * MIB
