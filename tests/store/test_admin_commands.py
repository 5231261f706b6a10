"""`mripacs admin delete`, `verify`, `quarantined`, `backup`, `restore` and `db vacuum` as people run them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from mripacs.cli.app import app
from mripacs.core.errors import MripacsError
from mripacs.core.model import Tier
from mripacs.store import Store
from mripacs.store.short_forms import pack_uid
from tests.real_parts import REPOSITORY
from tests.store.examples import certificate, new_instance

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An archive of four verbatim instances in two series, whose contents hold when they are rebuilt."""
    folder = tmp_path / "archive"
    with Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store:
        for number in range(4):
            new = new_instance(f"1.{number}", f"5.{number % 2}", "4", payload=None, tier=Tier.VERBATIM)
            assert new.certificate == certificate(new.header, Tier.VERBATIM)
            store.add(new)
    return folder


@pytest.fixture
def run(folder: Path) -> Run:
    def invoke(*words: object, archive: Path = folder, answer: str | None = None) -> Result:
        return CliRunner().invoke(app, ["-d", str(archive), "admin", *map(str, words)], input=answer)

    return invoke


def counted(run: Run) -> int:
    return json.loads(run("stats", "--json").stdout)["instances"]


def test_delete_asks_first(run: Run) -> None:
    refused = run("delete", "--series", "5.0", answer="n\n")
    assert refused.exit_code == 1
    assert "2 instances, 1 series, 0 studies would go" in refused.stderr
    assert counted(run) == 4
    assert run("delete", "--series", "5.0", answer="y\n").exit_code == 0
    assert counted(run) == 2


def test_delete_for_scripts(run: Run, folder: Path) -> None:
    planned = json.loads(run("delete", "--study", "4", "--dry-run", "--json").stdout)
    assert (planned["dry_run"], planned["studies"], counted(run)) == (True, 1, 4)
    done = json.loads(run("delete", "--study", "4", "--yes", "--json").stdout)
    assert done == {**planned, "dry_run": False}
    assert counted(run) == 0
    with Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store, store._reading() as connection:
        who = connection.execute(text("SELECT door, peer FROM event WHERE kind = 'delete'")).one()
    assert who.door == "admin delete"
    assert who.peer.startswith("user ")
    assert run("db", "vacuum", "--json").exit_code == 0


@pytest.mark.parametrize(("words", "code"), [(("--study", "9"), 66), ((), 64)])
def test_delete_of_nothing(run: Run, words: tuple[str, ...], code: int) -> None:
    failed = run("delete", *words, "--yes")
    assert isinstance(failed.exception, MripacsError)
    assert failed.exception.exit_code == code
    assert counted(run) == 4


def test_verify_repairs_and_lists(run: Run, folder: Path) -> None:
    assert run("verify").exit_code == 0
    with Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store, store._writing() as connection:
        damage = text("UPDATE instance SET instance_number = 9 WHERE sop_instance_uid = :uid")
        connection.execute(damage, {"uid": pack_uid("1.2")})
        connection.execute(text("UPDATE study SET number_of_instances = 9"))
    assert run("verify", "--json").exit_code == 74
    repaired = run("verify", "--repair", "--json")
    assert repaired.exit_code == 74
    said = json.loads(repaired.stdout)
    assert {finding["sop_instance_uid"] for finding in said["findings"]} == {"1.2", "4"}
    assert "1.2 quarantined" in said["repaired"]
    assert [each["sop_instance_uid"] for each in json.loads(run("quarantined", "--json").stdout)] == ["1.2"]
    assert "1.2" in run("quarantined").stdout
    run("delete", "--instance", "1.2", "--yes")
    assert run("verify").exit_code == 0


def test_verify_can_be_interrupted_and_resumed(run: Run, folder: Path) -> None:
    """SIGINT ends it with 75 once it has begun; --resume looks at the rest alone."""
    command = [sys.executable, "-m", "mripacs.cli.app", "-d", str(folder), "admin", "verify", "--rate", "0.5", "--json"]
    with (
        Store.open(f"sqlite:///{folder / 'mripacs.db'}") as store,
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as slow,
    ):
        while not (state := store.progress("verify")):
            assert slow.poll() is None
        slow.send_signal(signal.SIGINT)
        said, _ = slow.communicate(timeout=60)
        state = store.progress("verify")
    assert slow.returncode == 75
    assert 0 < json.loads(said)["checked"] == state.checked < 4
    resumed = run("verify", "--resume", "--json")
    assert resumed.exit_code == 0
    assert json.loads(resumed.stdout)["checked"] == 4


def test_backup_and_restore(run: Run, tmp_path: Path) -> None:
    written = json.loads(run("backup", tmp_path / "file", "--json").stdout)
    assert written["bytes"] == (tmp_path / "file").stat().st_size
    assert "exists already" in str(run("backup", tmp_path / "file").exception)
    restored = run("restore", tmp_path / "file", "--json", archive=tmp_path / "other")
    assert (restored.exit_code, json.loads(restored.stdout)) == (0, {"checked": 4, "findings": []})
    assert "not empty" in str(run("restore", tmp_path / "file", archive=tmp_path / "other").exception)
