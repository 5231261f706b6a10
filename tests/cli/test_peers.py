"""echo, send, find and get against DCMTK's servers, which are not ours, and against the node."""

from __future__ import annotations

import subprocess

import pytest
from pydicom import dcmread

from mripacs import load_settings
from mripacs.node import Node
from tests.e2e.dcmtk import ENVIRONMENT, StoreScp, free_port, listening
from tests.e2e.node_process import wait_until
from tests.e2e.objects import mr_object, written
from tests.e2e.part10_files import Part10, by_uid, differences


@pytest.fixture
def files(tmp_path):
    """Two objects."""
    return [written(mr_object(PatientID=f"PEER-{number}"), tmp_path / "in" / f"{number}.dcm") for number in range(2)]


@pytest.fixture
def storescp(tmp_path, require_program):
    require_program("storescp")
    started = StoreScp.start(tmp_path / "received", free_port(), "+xa")
    yield started
    started.stop()


def test_echo_and_send_to_storescp(mripacs, storescp, files):
    echoed = mripacs("echo", "127.0.0.1", storescp.port, "--aec", "STORESCP")
    assert (echoed.exit_code, echoed.out) == (0, f"STORESCP at 127.0.0.1:{storescp.port} answers\n")
    (files[0].parent / "note.txt").write_text("no DICOM " * 40)
    sent = mripacs("send", "127.0.0.1", storescp.port, files[0].parent, "--json")
    assert sent.json == {"sent": 2, "not_dicom": 1, "rejected": []}
    wait_until(lambda: len(storescp.files()) == 2, 10, "two files")
    received = by_uid(storescp.files())
    for path in files:
        part = Part10.read(path)
        assert received[part.sop_instance_uid].dataset_bytes == part.dataset_bytes


QR_SCP = """
NetworkTCPPort  = {port}
MaxPDUSize      = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE  {folder}  RW  (200, 1024mb)  ANY
AETable END
"""


@pytest.fixture
def dcmqrscp(tmp_path, require_program):
    """The port of DCMTK's query/retrieve server, title ARCHIVE."""
    folder, config, port = tmp_path / "qr", tmp_path / "qr.cfg", free_port()
    folder.mkdir()
    config.write_text(QR_SCP.format(port=port, folder=folder), encoding="ascii")
    with (tmp_path / "qr.log").open("wb") as log:
        command = [str(require_program("dcmqrscp")), "-c", str(config)]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
    wait_until(lambda: listening(port), 20, "dcmqrscp listening")
    yield port
    process.terminate()
    process.wait(20)


def test_send_find_and_get_with_dcmqrscp(mripacs, dcmqrscp, files, tmp_path):
    there = ("127.0.0.1", dcmqrscp, "--aec", "ARCHIVE")
    assert mripacs("send", *there, *files, "--json").json["sent"] == 2
    (row,) = mripacs("find", *there, "-k", "PatientID=PEER-1", "--json").json
    sent = Part10.read(files[1])
    study = row["StudyInstanceUID"]
    assert study == str(dcmread(files[1]).StudyInstanceUID)
    got = mripacs("get", *there, tmp_path / "got", "-k", f"StudyInstanceUID={study}", "--json")
    assert (got.exit_code, got.json["completed"], got.json["failed"]) == (0, 1, 0)
    (path,) = (tmp_path / "got").iterdir()
    assert Part10.read(path).sop_instance_uid == sent.sop_instance_uid
    assert differences(dcmread(files[1]), dcmread(path)) == []


@pytest.fixture
def node_port(tmp_path):
    """A node without codec processes, in this process."""
    flags = {"archive": {"directory": tmp_path / "node", "workers": 0}, "dimse": {"port": 0}, "web": {"enabled": False}}
    with Node(load_settings(flags=flags, environment={})) as node:
        yield node.dicom_port


def test_send_find_and_get_with_the_node(mripacs, node_port, files, tmp_path):
    assert "2 of 2 taken" in mripacs("send", "127.0.0.1", node_port, *files).out
    rows = mripacs("find", "127.0.0.1", node_port, "-k", "PatientID=PEER-*", "--json").json
    assert sorted(row["PatientID"] for row in rows) == ["PEER-0", "PEER-1"]
    table = mripacs("find", "127.0.0.1", node_port, "-l", "image", "-k", "PatientID=PEER-1", "-k", "Rows")
    assert "1 matches" in table.out
    study = str(dcmread(files[0]).StudyInstanceUID)
    got = mripacs("get", "127.0.0.1", node_port, tmp_path / "got", "-k", f"StudyInstanceUID={study}", "--json")
    assert (got.exit_code, got.json["completed"], got.json["failed"]) == (0, 1, 0)
    (path,) = (tmp_path / "got").iterdir()
    assert dcmread(path).SourceImageSequence[0].ReferencedSOPInstanceUID == Part10.read(files[0]).sop_instance_uid
    nothing = mripacs("get", "127.0.0.1", node_port, tmp_path / "none", "-k", "StudyInstanceUID=1.2.3")
    assert (nothing.exit_code, nothing.out) == (0, f"0 files in {tmp_path / 'none'}, 0 failed\n")


def test_refused_objects_are_named(mripacs, node_port, files):
    mripacs("send", "127.0.0.1", node_port, files[0])
    changed = dcmread(files[0])
    changed.PatientName = "Somebody^Else"
    changed.save_as(files[0])
    done = mripacs("send", "127.0.0.1", node_port, files[0])
    assert done.exit_code == 69
    assert "0xC111" in done.err
    assert "Somebody" not in done.err + done.out
    as_json = mripacs("send", "127.0.0.1", node_port, files[0], "--json")
    assert [each["status"] for each in as_json.json["rejected"]] == [0xC111]


def test_malformed_query(mripacs, node_port):
    done = mripacs("find", "127.0.0.1", node_port, "-k", "StudyDate=yesterday")
    assert done.exit_code in (64, 69)
    assert done.err.count("\n") == 1
    unknown = mripacs("find", "127.0.0.1", node_port, "-k", "NoSuchKeyword=1")
    assert unknown.exit_code == 64
    assert "NoSuchKeyword" in unknown.err
