"""`Archive.repack` and `mripacs admin repack`: fewer bytes, the same objects, whatever goes on beside it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

import mripacs
from mripacs.cli.app import app
from mripacs.codec import tables_registry
from mripacs.codec.kwavelet.small_tables import shipped
from mripacs.core.errors import UnknownTablesError
from mripacs.core.model import Disposition, Outgoing
from mripacs.store import Store
from tests.codec.images import DEV_FOLDERS
from tests.postgres import new_postgres_database, postgres_server
from tests.real_parts import REPOSITORY

__all__ = ["new_postgres_database", "postgres_server"]


@pytest.fixture(scope="module")
def slices(shared_data: Path) -> list[Path]:
    """Real slices of three scanners, and an object that is kept without loss."""
    chosen = [path for folder in DEV_FOLDERS.values() for path in sorted((shared_data / folder).iterdir())[:2]]
    return [*chosen, shared_data / "dev/pydicom__pydicom/src/pydicom/data/test_files/MR_small.dcm"]


@pytest.fixture(scope="module")
def filled(slices: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of these slices as the fast coder leaves them, to be copied."""
    folder = tmp_path_factory.mktemp("filled")
    with mripacs.Archive.open(folder) as archive:
        for path in slices:
            archive.store(path)
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "archive"))


def given_out(archive: mripacs.Archive) -> dict[str, Outgoing]:
    return {identity.sop_instance_uid: archive.fetch_encoded(identity.sop_instance_uid) for identity in archive}


def findings(archive: mripacs.Archive) -> list[object]:
    return [finding for _, found in archive.verify() for finding in found]


def test_the_same_bytes_leave(folder: Path, slices: list[Path]) -> None:
    """Marks and digests included; verification is clean; the originals are still recognised when they come again."""
    with mripacs.Archive.open(folder) as archive:
        before, certificates = given_out(archive), [identity.certificate for identity in archive]
        walk = archive.repack()
        outcomes = list(walk)
        assert walk.progress.finished_at is not None
        assert walk.progress.findings == ()
        assert walk.repacked >= len(slices) - 2
        assert walk.after == sum(outcome.after for outcome in outcomes) < 0.95 * walk.before
        assert archive.statistics().payload_bytes == walk.after
        assert given_out(archive) == before
        for old, new in zip(certificates, [identity.certificate for identity in archive], strict=True):
            assert {**new.to_json(), "first_payload_bytes": None} == {**old.to_json(), "first_payload_bytes": None}
        assert findings(archive) == []
        assert {archive.store(path).disposition for path in slices} == {Disposition.DUPLICATE}
        again = archive.repack()
        assert [outcome for outcome in again if outcome.after != outcome.before] == []


def test_on_postgresql(new_postgres_database: Callable[..., str], slices: list[Path]) -> None:
    settings = mripacs.load_settings(flags={"archive": {"database_url": new_postgres_database()}}, environment={})
    with mripacs.Archive.open(settings=settings) as archive:
        for path in slices[::2]:
            archive.store(path)
        before = given_out(archive)
        walk = archive.repack()
        assert sum(outcome.before - outcome.after for outcome in walk) > 0
        assert given_out(archive) == before
        assert findings(archive) == []


def test_it_goes_on_where_it_stopped(folder: Path) -> None:
    with mripacs.Archive.open(folder) as archive:
        first = archive.repack()
        for _ in first:
            if first.progress.checked == 3:
                first.ended.set()
        assert first.progress.finished_at is None
        second = archive.repack(resume=True)
        assert second.progress.checked == 3
        assert len(list(second)) == len(list(archive)) - 3
        assert second.progress.finished_at is not None
        assert findings(archive) == []


def test_one_study(folder: Path) -> None:
    with mripacs.Archive.open(folder) as archive:
        studies = {identity.study_instance_uid for identity in archive}
        chosen = sorted(studies)[0]
        list(archive.repack(studies=[chosen]))
        changed = {
            identity.study_instance_uid for identity in archive if identity.marked_bytes != identity.payload_bytes
        }
        assert changed <= {chosen}


def test_damaged_payloads_are_left_alone(folder: Path) -> None:
    with Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store, store._engine.begin() as connection:
        row = connection.execute(text("SELECT instance_id, data FROM payload ORDER BY instance_id")).first()
        flipped = row.data[:30] + bytes([row.data[30] ^ 4]) + row.data[31:]
        connection.execute(
            text("UPDATE payload SET data = :data WHERE instance_id = :id"), {"data": flipped, "id": row.instance_id}
        )
    with mripacs.Archive.open(folder) as archive:
        walk = archive.repack()
        list(walk)
        assert [finding.what for finding in walk.progress.findings] == ["payload"]
        assert walk.repacked > 0
    with Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store, store._engine.begin() as connection:
        statement = text("SELECT data FROM payload WHERE instance_id = :id")
        assert connection.execute(statement, {"id": row.instance_id}).scalar_one() == flipped


def test_beside_readers_and_deletions(folder: Path) -> None:
    with mripacs.Archive.open(folder) as archive:
        before = given_out(archive)
        gone = sorted(before)[::3]
        done, wrong = threading.Event(), []

        def read() -> None:
            while not done.is_set():
                for uid in sorted(set(before) - set(gone)):
                    if archive.fetch_encoded(uid) != before[uid]:
                        wrong.append(uid)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for number, _ in enumerate(archive.repack()):
                if number < len(gone):
                    archive.delete(instance=gone[number])
        finally:
            done.set()
            reader.join()
        assert wrong == []
        assert set(given_out(archive)) == set(before) - set(gone)
        assert findings(archive) == []


def test_a_site_s_own_tables(folder: Path) -> None:
    """Added, used, and found again by another process that was never told of them."""
    content = dataclasses.replace(shipped(), rate=shipped().rate + 1).to_bytes()
    with mripacs.Archive.open(folder) as archive:
        before = given_out(archive)
        with pytest.raises(UnknownTablesError):
            archive.repack(tables="ab" * 32)
        digest = archive.add_codec_tables(content)
        list(archive.repack(tables=digest))
        assert [name for name, _, _ in archive.codec_tables()] == [digest]
        name = tables_registry.name_of(content)
        named = [each for each in archive if name in archive._store.load(each.sop_instance_uid).payload]
        assert len(named) > 3
        assert given_out(archive) == before
    script = "import sys, mripacs; a = mripacs.Archive.open(sys.argv[1]); print(sum(len(f) for _, f in a.verify()))"
    command = [sys.executable, "-c", script, str(folder)]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout.strip() == "0"


def test_the_small_effort_has_identities_of_its_own(slices: list[Path], tmp_path: Path) -> None:
    """Its pixels may differ from those of the fast one: two nodes must not serve them under one UID."""
    served = {}
    for effort in ("fast", "small"):
        flags = {"archive": {"directory": tmp_path / effort}, "policy": {"effort": effort}}
        with mripacs.Archive.open(settings=mripacs.load_settings(flags=flags, environment={})) as archive:
            receipt = archive.store(slices[0])
            assert receipt.certificate.lossy
            served[effort] = receipt.sop_instance_uid
            assert findings(archive) == []
            assert archive.store(slices[0]).disposition is Disposition.DUPLICATE
    assert served["fast"] != served["small"]


class TestCommand:
    """`mripacs admin repack` and `mripacs admin codec`."""

    def test_json(self, folder: Path) -> None:
        result = CliRunner().invoke(app, ["-d", str(folder), "admin", "repack", "--json"])
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert told["bytes_after"] < told["bytes_before"]
        assert told["finished"] is True
        assert told["findings"] == []
        people = CliRunner().invoke(app, ["-d", str(folder), "admin", "repack"])
        assert f"{told['checked']} instances looked at, 0 repacked" in people.stdout

    def test_interrupted_and_resumed(self, folder: Path) -> None:
        command = [sys.executable, "-m", "mripacs.cli.app", "-d", str(folder), "admin", "repack", "--json"]
        process = subprocess.Popen([*command, "--rate", "1"], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        with Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store:
            while store.progress("repack") is None:
                assert process.poll() is None
                threading.Event().wait(0.1)
        process.send_signal(signal.SIGTERM)
        told = json.loads(process.communicate(timeout=60)[0])
        assert process.returncode == 75
        assert told["finished"] is False
        again = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True, cwd=REPOSITORY)
        rest = json.loads(again.stdout)
        assert rest["finished"] is True
        assert rest["checked"] > told["checked"]

    def test_killed_at_any_moment(self, folder: Path) -> None:
        """SIGKILL in the middle: every instance is there, whole, old or new; a second run finishes."""
        command = [sys.executable, "-m", "mripacs.cli.app", "-d", str(folder), "admin", "repack", "--json"]
        with mripacs.Archive.open(folder) as archive:
            before = given_out(archive)
        process = subprocess.Popen([*command, "--rate", "20"], stdout=subprocess.DEVNULL, cwd=REPOSITORY)
        with Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store:
            size = store.statistics().payload_bytes
            while process.poll() is None and store.statistics().payload_bytes == size:
                threading.Event().wait(0.01)
        process.kill()
        process.wait()
        with mripacs.Archive.open(folder) as archive:
            assert given_out(archive) == before
            assert findings(archive) == []
            list(archive.repack(resume=True))
            assert given_out(archive) == before

    def test_tables_are_listed(self, folder: Path, tmp_path: Path) -> None:
        file = tmp_path / "tables.npz"
        file.write_bytes(shipped().to_bytes())
        added = CliRunner().invoke(app, ["-d", str(folder), "admin", "codec", "add", str(file)])
        assert added.exit_code == 0, added.output
        told = CliRunner().invoke(app, ["-d", str(folder), "admin", "codec", "list", "--json"])
        assert [each["sha256"] for each in json.loads(told.stdout)] == [added.stdout.strip()]
        broken = tmp_path / "broken.npz"
        broken.write_bytes(b"no tables")
        refused = CliRunner().invoke(app, ["-d", str(folder), "admin", "codec", "add", str(broken)])
        assert refused.exit_code != 0
