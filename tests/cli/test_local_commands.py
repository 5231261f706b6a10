"""import, export and admin, on archives of their own."""

from __future__ import annotations

import sqlite3
import zipfile

import pytest
from pydicom import dcmread

from tests.e2e.objects import mr_object, written

QUANTITATIVE = ["ORIGINAL", "PRIMARY", "PHASE MAP"]


@pytest.fixture
def files(tmp_path):
    """Three objects of one study: two lossy, one lossless."""
    first = mr_object()
    study = {"StudyInstanceUID": first.StudyInstanceUID, "SeriesInstanceUID": first.SeriesInstanceUID}
    objects = [mr_object(**study), mr_object(**study), mr_object(ImageType=QUANTITATIVE, **study)]
    return [written(dataset, tmp_path / "in" / f"{number}.dcm") for number, dataset in enumerate(objects)]


@pytest.fixture
def filled(mripacs, archive_folder, files):
    """The archive with the three objects in it."""
    assert mripacs(*archive_folder, "import", "--workers", 0, files[0].parent).exit_code == 0
    return archive_folder


def uid_of(path):
    return str(dcmread(path).SOPInstanceUID)


def test_import_of_files_folders_and_zips(mripacs, archive_folder, files, tmp_path):
    packed = tmp_path / "more.zip"
    with zipfile.ZipFile(packed, "w") as bundle:
        bundle.write(written(mr_object(), tmp_path / "x" / "four.dcm"), "deep/four.dcm")
        bundle.writestr("readme.txt", "no DICOM " * 50)
    (files[0].parent / "notes.txt").write_text("neither is this " * 20)
    done = mripacs(*archive_folder, "import", "--workers", 0, "--json", files[0].parent, packed, files[1])
    assert done.exit_code == 0
    assert done.json["counts"] == {"stored": 4, "duplicate": 1, "not DICOM": 2}
    assert done.json["received_bytes"] > 5 * done.json["stored_bytes"] / 4 > 0


def test_refused_files_are_named(mripacs, filled, files, tmp_path):
    changed = dcmread(files[2])
    changed.PatientID = "OTHER"
    changed.save_as(tmp_path / "changed.dcm")
    done = mripacs(*filled, "import", "--workers", 0, tmp_path / "changed.dcm", files[0])
    assert done.exit_code == 65
    assert "changed.dcm" in done.err
    assert "SHA-256" in done.err
    assert "OTHER" not in done.out + done.err
    assert "Traceback" not in done.err


def test_what_is_not_there(mripacs, archive_folder, tmp_path):
    done = mripacs(*archive_folder, "import", tmp_path / "nothing")
    assert (done.exit_code, done.err.count("\n")) == (78, 1)
    assert "nothing does not exist" in done.err


def test_export(mripacs, filled, files, tmp_path):
    study = str(dcmread(files[0]).StudyInstanceUID)
    done = mripacs(*filled, "export", tmp_path / "out", "--json")
    assert (done.exit_code, done.json["written"], done.json["failed"]) == (0, 3, {})
    exported = {uid_of(path): path for path in (tmp_path / "out" / study).rglob("*.dcm")}
    assert len(exported) == 3
    assert exported[uid_of(files[2])].read_bytes()[-2000:] == files[2].read_bytes()[-2000:]
    one = mripacs(*filled, "export", tmp_path / "one", "--instance", uid_of(files[0]))
    assert "1 files written" in one.out
    nothing = mripacs(*filled, "export", tmp_path / "none", "--instance", "1.2.3")
    assert (nothing.exit_code, nothing.err.count("\n")) == (66, 1)


def test_stats(mripacs, filled, files):
    totals = mripacs(*filled, "admin", "stats", "--json").json
    assert (totals["studies"], totals["series"], totals["instances"]) == (1, 1, 3)
    assert totals["received_bytes"] > totals["payload_bytes"] + totals["header_bytes"] + totals["reference_bytes"]
    assert totals["ratio"] > 1
    by_tier = {row["name"]: row["instances"] for row in totals["by"]["tier"]} if "tier" in totals["by"] else {}
    by_codec = {row["name"]: row["instances"] for row in totals["by"]["codec"]}
    assert by_tier in ({}, {"kwavelet": 2, "lossless": 1})
    assert sorted(by_codec.values()) == [1, 2]
    table = mripacs(*filled, "admin", "stats")
    assert table.exit_code == 0
    assert "By modality" in table.out


def test_show(mripacs, filled, files):
    shown = mripacs(*filled, "admin", "show", uid_of(files[0]), "--json").json
    assert shown["original_sop_instance_uid"] == uid_of(files[0])
    assert shown["certificate"]["tier"] == "kwavelet"
    assert 0 < shown["worst_frame"]["rel_error"] <= 0.05
    assert {"step", "k", "psnr_db", "max_error"} <= set(shown["worst_frame"])
    table = mripacs(*filled, "admin", "show", uid_of(files[0]))
    for words in ("SHA-256 received", "first loss", "rel_error=0.05", "MR image"):
        assert words in table.out
    missing = mripacs(*filled, "admin", "show", "1.2.3")
    assert (missing.exit_code, missing.err) == (66, "mripacs: no instance 1.2.3 is stored\n")


def test_verify(mripacs, filled, tmp_path):
    whole = mripacs(*filled, "admin", "verify", "--json")
    assert (whole.exit_code, whole.json) == (0, {"checked": 3, "findings": []})
    with sqlite3.connect(tmp_path / "archive" / "mripacs.db") as database:
        database.execute("UPDATE payload SET data = zeroblob(length(data)) WHERE instance_id = 1")
    database.close()
    damaged = mripacs(*filled, "admin", "verify", "--json")
    assert damaged.exit_code == 74
    assert [finding["what"] for finding in damaged.json["findings"]] == ["payload"]
    assert mripacs(*filled, "admin", "verify").exit_code == 74


def test_policy(mripacs, archive_folder, files):
    explained = mripacs(*archive_folder, "admin", "policy", "explain", files[0], "--json").json
    assert explained["rule"] == "MR image"
    assert explained["tier"] == "kwavelet"
    assert "measurement by image type" in mripacs(*archive_folder, "admin", "policy", "explain", files[2]).out
    rules = mripacs(*archive_folder, "admin", "policy", "list", "--json").json
    assert [rule["name"] for rule in rules][-2:] == ["MR image", "everything else"]
    assert "MR image" in mripacs(*archive_folder, "admin", "policy", "list").out


def test_policy_of_what_is_no_dicom(mripacs, archive_folder, tmp_path):
    (tmp_path / "text").write_text("no DICOM " * 30)
    done = mripacs(*archive_folder, "admin", "policy", "explain", tmp_path / "text")
    assert (done.exit_code, done.err.count("\n")) == (65, 1)


def test_database(mripacs, archive_folder, tmp_path):
    assert mripacs(*archive_folder, "admin", "db", "check").exit_code == 75
    upgraded = mripacs(*archive_folder, "admin", "db", "upgrade", "--json")
    assert upgraded.exit_code == 0
    assert upgraded.json["revision"]
    assert mripacs(*archive_folder, "admin", "db", "check", "--json").json == {"differences": []}
    with sqlite3.connect(tmp_path / "archive" / "mripacs.db") as database:
        database.execute("DROP TABLE event")
    database.close()
    differs = mripacs(*archive_folder, "admin", "db", "check")
    assert differs.exit_code == 78
    assert "event" in differs.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--config", "/nowhere.toml", "admin", "stats"), 78, "/nowhere.toml"),
        (("--log-level", "loud", "admin", "stats"), 78, "log.level"),
        (("--database", "mysql://x/y", "admin", "stats"), 78, "database_url"),
        (("--directory", "/proc/nowhere", "admin", "stats"), 75, "cannot be opened"),
        (("echo", "127.0.0.1", "1"), 69, "cannot be reached"),
        (("find", "127.0.0.1", "1", "-l", "GALAXY"), 64, "GALAXY"),
    ],
    ids=["no file", "bad level", "bad URL", "no folder", "nobody there", "bad query level"],
)
def test_errors_are_one_line_and_a_code(mripacs, arguments, code, words):
    done = mripacs(*arguments)
    assert done.exit_code == code
    assert words in done.err
    assert done.err.startswith("mripacs: ")
    assert "Traceback" not in done.err
