"""`mripacs bench crash` against DCMTK's storescp, and what it makes of files and of what comes back."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from mripacs.cli.crash.comparison import Likeness, compare, worst_error
from mripacs.cli.crash.copies import Copies, new_uid
from mripacs.cli.crash.evidence import FolderSource
from mripacs.cli.crash.server import ServerProcess
from mripacs.core.errors import DamagedInstanceError, SettingsError
from mripacs.core.model import Outgoing
from mripacs.dicom.part10 import read_part10, write_part10
from tests.e2e.dcmtk import free_port
from tests.e2e.node_process import run_mripacs
from tests.e2e.objects import mr_object, smooth_image, written
from tests.real_parts import program

RANDOM = random.Random(1)  # noqa: S311 - an order of files


@pytest.fixture
def sample(tmp_path):
    path = written(mr_object(), tmp_path / "one.dcm")
    return Copies([read_part10(path)], RANDOM).take(1)[0]


def outgoing(sample, **changes):
    item = sample.received()
    same = Outgoing(item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax, item.dataset)
    return replace(same, **changes)


def test_storescp_is_killed_and_keeps_what_it_acknowledged(tmp_path):
    folder, received, port = tmp_path / "files", tmp_path / "received", free_port()
    received.mkdir()
    for number in range(4):
        written(mr_object(InstanceNumber=number), folder / f"{number}.dcm")
    done = run_mripacs(
        *("bench", "crash", "--peer", f"127.0.0.1:{port}", "--files", folder, "--kills", 2, "--senders", 1),
        *("--start-command", f"{program('storescp')} -od {received} {port}", "--received", received, "--json"),
    )
    report = json.loads(done.stdout)
    assert report["kills"] == 2
    assert report["acknowledged"] > 0
    assert report["missing"] == report["altered"] == report["unreadable"] == 0
    assert done.returncode == (74 if report["partial"] else 0)  # a file is there before all of it is


def test_copies_differ_in_their_uids_alone(sample):
    original = sample.template.received
    copy = sample.received()
    assert len(copy.dataset) == len(original.dataset)
    assert copy.sop_instance_uid != original.sop_instance_uid
    restored = copy.dataset
    new = (sample.sop_instance_uid, sample.study_instance_uid, sample.series_instance_uid)
    for uid, old in zip(new, (sample.template.uids[tag] for tag in (0x00080018, 0x0020000D, 0x0020000E)), strict=True):
        restored = restored.replace(uid.encode(), old.encode())
    assert restored == original.dataset


@pytest.mark.parametrize("length", range(20, 65))
def test_uids_have_the_length_asked_for(length):
    uid = new_uid(length)
    assert len(uid) == length
    assert all(part == "0" or not part.startswith("0") for part in uid.split("."))


def test_without_an_object_to_copy_there_is_no_test(tmp_path):
    short = read_part10(written(mr_object(StudyInstanceUID="1.2.3"), tmp_path / "short.dcm"))
    with pytest.raises(SettingsError, match="UIDs can be changed"):
        Copies([short], RANDOM)


def test_likeness(sample):
    altered = sample.received().dataset[:-1] + b"\x7f"
    assert compare(sample, outgoing(sample), 0.05) is Likeness.IDENTICAL
    assert compare(sample, outgoing(sample, dataset=altered), 0.05) is Likeness.ALTERED
    assert compare(sample, outgoing(sample, dataset=b"no data set"), 0.05) is Likeness.ALTERED


@pytest.mark.parametrize(("factor", "marked", "expected"), [
    (1.04, "01", Likeness.WITHIN), (1.04, None, Likeness.ALTERED), (1.06, "01", Likeness.ALTERED),
])  # fmt: skip
def test_loss_must_be_declared_and_bounded(tmp_path, factor, marked, expected):
    before = mr_object()
    sample = Copies([read_part10(written(before, tmp_path / "one.dcm"))], RANDOM).take(1)[0]
    uids = {"StudyInstanceUID": sample.study_instance_uid, "SeriesInstanceUID": sample.series_instance_uid}
    pixels = (smooth_image() * factor).astype("<u2").tobytes()
    after = read_part10(
        written(mr_object(**uids, PixelData=pixels, LossyImageCompression=marked), tmp_path / "two.dcm")
    )
    got = Outgoing(after.sop_class_uid, after.sop_instance_uid, after.transfer_syntax, after.dataset)
    assert compare(sample, got, 0.05) is expected


def test_worst_error_is_that_of_the_worst_frame():
    before = np.full((2, 3, 3), 100, np.uint16)
    after = before.copy()
    after[1] += 10
    assert worst_error(before, after) == pytest.approx(0.1)
    assert worst_error(np.zeros((1, 2, 2)), np.ones((1, 2, 2))) == np.inf


def test_a_half_written_file_is_not_absent(sample, tmp_path):
    uid, folder = sample.sop_instance_uid, tmp_path / "received"
    folder.mkdir()
    with FolderSource(folder).open() as evidence:
        assert evidence.fetch(sample) is None
    (folder / f"MR.{uid}").write_bytes(write_part10(outgoing(sample))[:300])
    with FolderSource(folder).open() as evidence, pytest.raises(DamagedInstanceError):
        evidence.fetch(sample)


def test_how_to_kill_must_be_said():
    with pytest.raises(SettingsError, match="--kill-command"):
        ServerProcess()


def test_a_start_command_that_fails_is_told(tmp_path):
    files = written(mr_object(), tmp_path / "one.dcm")
    where = ("--peer", f"127.0.0.1:{free_port()}", "--files", files, "--start-command", "false")
    done = run_mripacs("bench", "crash", *where)
    assert done.returncode == 69
    assert "did not start" in done.stderr
