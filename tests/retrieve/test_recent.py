"""Instances at hand: what is given out from there is what would be read, never what changed, went or is damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import BasicTextSRStorage

import mripacs
from mripacs.archive import Archive
from mripacs.core.errors import DamagedInstanceError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity, Outgoing, Tier
from mripacs.dicom import part10
from mripacs.retrieve import finishing, images
from mripacs.retrieve.recent import Recent, native_frames
from tests.e2e.objects import encoded, mr_object, object_without_pixels, smooth_image

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="anonymous memory of Linux")
EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
QUANTITATIVE = ["ORIGINAL", "PRIMARY", "PHASE MAP"]


@pytest.fixture
def recent() -> Recent:
    """Room for all of a test's instances."""
    return Recent.create(8 << 20)


def opened(folder: Path, recent: Recent, **flags: object) -> Archive:
    """An archive whose finished instances are at hand."""
    settings = mripacs.load_settings(flags={"archive": {"directory": folder, **flags}}, environment={})
    return Archive.open(settings=settings, recent=recent)


@pytest.fixture
def archive(tmp_path: Path, recent: Recent) -> Iterator[Archive]:
    """The same with the usual settings."""
    with opened(tmp_path, recent) as made:
        yield made


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on whatever is decoded fails the test."""

    def refuse(*_: object) -> None:
        pytest.fail("was decoded, and should be at hand")

    for module in (finishing, images):
        for name in ("rebuild_with_frames", "rebuild_instance", "decode_frames"):
            monkeypatch.setattr(module, name, refuse, raising=False)


def stored(archive: Archive, **changes: object) -> InstanceIdentity:
    """A made object in the archive."""
    return archive.identify(archive.store(encoded(mr_object(**changes))).sop_instance_uid)


def test_a_second_read_is_the_first_one(archive: Archive, request: pytest.FixtureRequest) -> None:
    """Lossy, without loss, without pixels; by either UID, as a file, a frame and a picture's pixels."""
    objects = [mr_object(), mr_object(ImageType=QUANTITATIVE), object_without_pixels(BasicTextSRStorage)]
    uids = [archive.store(encoded(each)).sop_instance_uid for each in objects]
    first = [archive.fetch_encoded(uid) for uid in uids]
    images_then = [archive.image(uid).frames for uid in uids[:2]]
    request.getfixturevalue("no_decoding")
    assert [archive.fetch_encoded(uid) for uid in uids] == first
    assert [archive.fetch_encoded(str(each.SOPInstanceUID)) for each in objects] == first
    identities = [archive.identify(uid) for uid in uids]
    assert [each.encoded() for each in archive.fetch_many(identities)] == first
    for identity, frames in zip(identities, images_then, strict=False):
        assert archive.native_frame(identity, 1) == frames[0].tobytes()
    assert archive.fetch_encoded(uids[0], (IMPLICIT,)).transfer_syntax == IMPLICIT


def test_an_image_is_made_of_what_is_at_hand(archive: Archive, request: pytest.FixtureRequest) -> None:
    """Pixels and description as from the payload; the data set that leaves says of itself that it lost something."""
    identity = stored(archive)
    plain = images.decode_image(archive._store.load(identity.sop_instance_uid))
    archive.fetch_encoded(identity.sop_instance_uid)
    request.getfixturevalue("no_decoding")
    again = archive.image(identity)
    assert np.array_equal(plain.frames, again.frames)
    assert dataclasses.replace(plain.description, lossy_before=True) == again.description


def test_what_was_deleted_is_not_given_out(archive: Archive) -> None:
    """No row, no bytes, though they are in the ring; also when it goes between the look-up and its turn."""
    one, other = stored(archive), stored(archive)
    for identity in (one, other):
        archive.fetch_encoded(identity.sop_instance_uid)
        assert archive._recent.holds(identity)
    archive.delete(instance=one.sop_instance_uid)
    assert archive._recent.holds(one)
    for uid in (one.sop_instance_uid, one.original_sop_instance_uid):
        with pytest.raises(UnknownInstanceError):
            archive.fetch_encoded(uid)
        with pytest.raises(UnknownInstanceError):
            archive.image(uid)
    assert archive.fetch_encoded(other.sop_instance_uid).sop_instance_uid == other.sop_instance_uid


def test_what_is_in_quarantine_is_not_given_out(archive: Archive) -> None:
    """By no way that reads pixels."""
    identity = stored(archive)
    archive.image(identity)
    archive.fetch_encoded(identity.sop_instance_uid)
    archive._store.quarantine(identity.sop_instance_uid, "a test")
    now = archive.identify(identity.sop_instance_uid)
    (fetched,) = archive.fetch_many([now])
    for read in (
        lambda: archive.fetch_encoded(now.sop_instance_uid),
        fetched.encoded,
        lambda: archive.image(now),
        lambda: archive.native_frame(now, 1),
    ):
        with pytest.raises(DamagedInstanceError, match="quarantine"):
            read()


@pytest.mark.parametrize("image_type", [["ORIGINAL", "PRIMARY", "M"], QUANTITATIVE], ids=["lossy", "lossless"])
def test_a_replaced_instance_is_the_new_one(tmp_path: Path, recent: Recent, image_type: list[str]) -> None:
    """Under the same UID other bytes and pixels: from the ring, and from the images that are held."""
    first = mr_object(ImageType=image_type, PatientID="OLD")
    second = mr_object(ImageType=image_type, PatientID="NEW", SOPInstanceUID=first.SOPInstanceUID,
                       PixelData=smooth_image()[::-1].tobytes())  # fmt: skip
    with opened(tmp_path, recent, on_conflict="replace") as archive:
        uid = archive.store(encoded(first)).sop_instance_uid
        before = archive.fetch_encoded(uid)
        frames = archive.image(uid).frames
        frame = archive.native_frame(archive.identify(uid), 1)
        assert archive.store(encoded(second)).sop_instance_uid == uid
        after = archive.fetch_encoded(uid)
        assert (b"OLD" in before.dataset, b"NEW" in after.dataset, b"OLD" in after.dataset) == (True, True, False)
        assert not np.array_equal(archive.image(uid).frames, frames)
        assert archive.native_frame(archive.identify(uid), 1) != frame


def test_a_repacked_instance_leaves_as_the_same_bytes(archive: Archive) -> None:
    """Another payload, another row; what is at hand of either is what is given out."""
    identity = stored(archive)
    before = archive.fetch_encoded(identity.sop_instance_uid)
    assert list(archive.repack())
    assert archive.fetch_encoded(identity.sop_instance_uid) == before
    archive._recent = Recent()
    with Archive.open(archive.settings.archive.directory) as plain:
        assert plain.fetch_encoded(identity.sop_instance_uid) == before


def test_every_fact_is_in_the_key(archive: Archive, recent: Recent) -> None:
    """Another value of any field of identity or certificate finds nothing, but of those that leave the bytes alone."""
    identity = stored(archive)
    archive.fetch_encoded(identity.sop_instance_uid)
    assert recent.get(identity) is not None
    indifferent = {"header_bytes", "received_at"}
    for field in dataclasses.fields(identity):
        if field.name == "certificate":
            continue
        changed = dataclasses.replace(identity, **{field.name: _other(getattr(identity, field.name))})
        assert (recent.get(changed) is not None) == (field.name in indifferent), field.name
    for field in dataclasses.fields(identity.certificate):
        value = _other(getattr(identity.certificate, field.name))
        certificate = dataclasses.replace(identity.certificate, **{field.name: value})
        assert recent.get(dataclasses.replace(identity, certificate=certificate)) is None, field.name


def _other(value: object) -> object:
    if isinstance(value, Tier):
        return Tier.VERBATIM
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value}1" if isinstance(value, str) else (("other",) if value is None else None)


def test_a_damaged_record_is_decoded_anew(archive: Archive) -> None:
    """Any byte of it: the answer is right, and no error (G6)."""
    identity = stored(archive)
    right = archive.fetch_encoded(identity.sop_instance_uid)
    ring = archive._recent._ring
    assert ring is not None
    content = os.pread(ring._descriptor, 1 << 20, ring._start)
    at = content.index(smooth_like(right)) + 7
    os.pwrite(ring._descriptor, bytes([content[at] ^ 1]), ring._start + at)
    assert archive._recent.get(identity) is None
    assert archive.fetch_encoded(identity.sop_instance_uid) == right
    assert archive._recent.get(identity) is not None, "it was written anew"


def smooth_like(outgoing: Outgoing) -> bytes:
    """The last bytes of a data set: of its pixels."""
    return outgoing.dataset[-64:]


def test_another_process_finds_it(archive: Archive, recent: Recent) -> None:
    """What one writes the other reads, both ways."""
    identity = stored(archive)
    outgoing = archive.fetch_encoded(identity.sop_instance_uid)
    other = dataclasses.replace(identity, sop_instance_uid="1.2.3")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_read_and_write, args=(recent, identity, other, theirs))
    process.start()
    assert ours.recv() == outgoing.dataset
    process.join()
    found = recent.get(other)
    assert found is not None
    assert found.outgoing == Outgoing(other.sop_class_uid, "1.2.3", EXPLICIT, outgoing.dataset)


def _read_and_write(recent: Recent, identity: InstanceIdentity, other: InstanceIdentity, pipe: Connection) -> None:
    found = recent.get(identity)
    if found is None:
        raise SystemExit(1)
    recent.put(other, found.outgoing)
    pipe.send(found.outgoing.dataset)


def test_without_memory_nothing_is_found(archive: Archive) -> None:
    """Switched off: reads are as ever."""
    identity = stored(archive)
    off = Recent.create(0)
    assert not off
    assert not off.put(identity, archive.fetch_encoded(identity.sop_instance_uid))
    assert off.get(identity) is None
    assert not off.holds(identity)


def test_frames_are_found_by_the_header_before_them_alone() -> None:
    """The place is known only where Pixel Data with just these bytes ends the data set."""
    frames = np.arange(12, dtype=np.uint16).reshape(2, 2, 3)
    value = frames.tobytes()
    header = b"\xe0\x7f\x10\x00OW\0\0" + len(value).to_bytes(4, "little")
    for dataset, syntax, start in (
        (b"before" + header + value, EXPLICIT, 18),
        (b"before" + header[:4] + header[8:] + value, IMPLICIT, 14),
        (b"before" + header + value + b"behind", EXPLICIT, None),
        (b"before" + header + value, BIG_ENDIAN, None),
        (b"before" + header[:8] + b"\x19\0\0\0" + value, EXPLICIT, None),
        (value, EXPLICIT, None),
    ):
        found = native_frames(Outgoing("1", "2", syntax, dataset), frames)
        assert (found.start if found else None) == start
        if found:
            assert (found.frame_bytes, found.count) == (12, 2)
    assert native_frames(Outgoing("1", "2", EXPLICIT, b"before" + header + value), frames.reshape(1, 2, 2, 3)) is None


def test_frames_of_every_real_file(tmp_path: Path, dev_files: list[Path]) -> None:
    """Where frames are taken from the bytes at hand they are those of the decoded image."""
    known = 0
    with opened(tmp_path, Recent.create(64 << 20)) as archive:
        for file in dev_files[::6]:
            try:
                identity = archive.identify(archive.store(file).sop_instance_uid)
            except mripacs.core.errors.RefusedError:
                continue
            finished = archive._retrieve.finishing.finish(identity)
            if finished.frames is not None:
                decoded = images.decode_image(archive._store.load(identity.sop_instance_uid))
                assert finished.frame(1) == decoded.native(1)
                assert finished.frame(len(decoded.frames)) == decoded.native(len(decoded.frames))
                assert finished.frame(len(decoded.frames) + 1) is None
                known += 1
    assert known > 20


@pytest.mark.parametrize("keep", ["kwavelet", "lossless"])
def test_what_was_compressed_behind_is_what_would_be_read(tmp_path: Path, dev_files: list[Path], keep: str) -> None:
    """Its writer puts at hand what no reader ever decoded: byte for byte and frame for frame what a read gives."""
    rules = [{"name": "all", "keep": keep, **({"rel_error": 0.05} if keep == "kwavelet" else {})}]
    flags = {"archive": {"directory": tmp_path, "workers": 0}, "policy": {"rules": rules}}
    settings = mripacs.load_settings(flags=flags, environment={})
    found = 0
    with Archive.open(settings=settings, recent=Recent.create(64 << 20)) as archive:
        archive.compress_behind()
        for file in dev_files[::17]:
            with contextlib.suppress(mripacs.core.errors.RefusedError):
                archive.accept(part10.read_part10(file))
        for identity in archive:
            at_hand = archive._recent.get(identity)
            read = finishing.finished_of(archive._store.load(identity.sop_instance_uid))
            assert at_hand in (None, read), identity.sop_instance_uid
            found += at_hand is not None
    assert found > 5
