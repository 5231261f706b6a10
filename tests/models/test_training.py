"""Training: from slices to a model, killed and gone on with, by two processes, and refused when it makes no sense."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mripacs.core.errors import TrainingError
from mripacs.models import model_file
from mripacs.models.network import repair
from mripacs.models.slices import LabelledSlice
from tests import real_parts
from tests.models.slices_to_learn import INSTALL, dev_slices

torch = real_parts.module("torch", INSTALL)

from mripacs.models import checkpoint, network_training, training  # noqa: E402 - after torch was looked for
from mripacs.models.network_training import Recipe  # noqa: E402
from mripacs.models.training import Plan, split, train  # noqa: E402

RECIPE = Recipe(channels=4, layers=2, steps=4, validate_every=2)
PLAN = Plan(RECIPE, odds_pictures=12, odds_epochs=1, pairs=24, unseen_pairs=6)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def slices(shared_data) -> list[LabelledSlice]:
    return dev_slices(shared_data)


@pytest.fixture(scope="module")
def trained(slices, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(slices, PLAN, folder, "tests", lambda *_: None), folder


def test_a_model_is_made_and_its_card_says_how(trained, slices) -> None:
    model, _ = trained
    known, unseen = split(slices)
    assert not {each.series for each in known} & {each.series for each in unseen}
    assert model.card["slices"] == len(known)
    assert set(model.card["trained_series"]) == {each.series for each in known}
    assert model.card["steps_done"] == 4
    assert 0 < model.card["validation_loss"] < 2
    assert model_file.from_bytes(model_file.to_bytes(model)).digest == model.digest


def test_numpy_shows_what_torch_trained() -> None:
    torch.manual_seed(3)
    twin = network_training.RepairNetwork(6, 4)
    torch.nn.init.normal_(twin.tail.weight, 0, 0.1)
    weights = {name.removeprefix("network."): each.astype(np.float32) for name, each in twin.tensors().items()}
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(parameter.half().float())  # as the file keeps them
        picture = np.random.default_rng(1).random((32, 48), np.float32)
        expected = twin(torch.from_numpy(picture)[None, None], torch.tensor([90.0]))[0, 0].numpy()
    assert np.abs(expected - picture).max() > 0.01
    assert np.allclose(repair(picture, 90, weights), expected, atol=2e-5)


def test_a_training_that_was_broken_off_gives_the_same_model(trained, slices, tmp_path, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    def report(stage: str, done: int, total: int, text: str) -> None:
        if stage == "network" and done == 2:
            raise Killed

    with pytest.raises(Killed):
        train(slices, PLAN, tmp_path, "tests", report)
    assert {file.name for file in tmp_path.iterdir()} == {"odds.safetensors", "network.safetensors"}
    monkeypatch.setattr(training, "train_odds", None)  # they are there already
    again = train(slices, PLAN, tmp_path, "tests", lambda *_: None)
    assert again.digest == trained[0].digest


def test_a_finished_training_goes_on_for_longer(trained, slices, tmp_path) -> None:
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    longer = replace(PLAN, recipe=replace(RECIPE, steps=6))
    model = train(slices, longer, tmp_path, "tests", lambda *_: None)
    assert model.card["steps_done"] == 6
    assert model.card["plan"]["recipe"]["steps"] == 6


def test_it_stops_when_what_is_held_out_gets_no_better(trained, slices, tmp_path, monkeypatch) -> None:
    shutil.copy(trained[1] / checkpoint.ODDS, tmp_path)
    random = np.random.default_rng(1)
    monkeypatch.setattr(  # worse each time
        network_training, "_judge", lambda network, pairs, chosen: judged(network, pairs, chosen, random)
    )
    long = replace(PLAN, recipe=replace(RECIPE, steps=1000, validate_every=1, patience=2))
    model = train(slices, long, tmp_path, "tests", lambda *_: None)
    assert model.card["steps_done"] < 1000
    assert model.card["validation_loss"] is not None


def judged(network, pairs, chosen, random):
    """Errors that have nothing to do with the network, though their gradients are there."""
    error = torch.from_numpy(random.random(len(chosen))) + 0 * sum(each.sum() for each in network.parameters())
    return error, 0 * error


def test_too_few_and_constant_slices_are_refused(slices, tmp_path) -> None:
    with pytest.raises(TrainingError, match="31 slices that are not constant are too few: 32"):
        train(slices[:31], PLAN, tmp_path, "tests", lambda *_: None)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_no_number_stops(slices, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(network_training, "_ssim", lambda x, _: x.mean((1, 2, 3)) * float("nan"))
    with pytest.raises(TrainingError, match="not a number"):
        train(slices, PLAN, tmp_path, "tests", lambda *_: None)


def test_a_checkpoint_of_another_training_is_refused(trained, slices) -> None:
    _, folder = trained
    other = Plan(Recipe(channels=6, layers=2, steps=4, validate_every=2), 12, 1, 24, 6)
    with pytest.raises(TrainingError, match=r"another training \(plan differ\)"):
        train(slices, other, folder, "tests", lambda *_: None)
    with pytest.raises(TrainingError, match="data differ"):
        train(slices[1:], PLAN, folder, "tests", lambda *_: None)


def test_a_checkpoint_of_another_architecture_is_refused(trained, slices, tmp_path) -> None:
    _, folder = trained
    wide = network_training.start(Recipe(channels=9, layers=2))
    facts = checkpoint_facts(folder)
    checkpoint.save_training(wide, facts, tmp_path)
    with pytest.raises(TrainingError, match="another architecture"):
        checkpoint.load_training(network_training.start(RECIPE), facts, tmp_path)


def checkpoint_facts(folder: Path) -> dict:
    data = (folder / checkpoint.NETWORK).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["facts"])


def test_a_damaged_checkpoint_is_named(trained, slices, tmp_path) -> None:
    (tmp_path / checkpoint.ODDS).write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(TrainingError, match="no checkpoint, or damaged"):
        train(slices, PLAN, tmp_path, "tests", lambda *_: None)


def test_a_full_disk_stops_and_keeps_the_checkpoint_before(slices, tmp_path, monkeypatch) -> None:
    kept = model_file.write

    def full(data: bytes, path: Path) -> None:
        if path.name == checkpoint.NETWORK and path.exists():
            monkeypatch.setattr("os.fsync", no_space)
        kept(data, path)

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model_file, "write", full)
    with pytest.raises(TrainingError, match="the checkpoint cannot be kept"):
        train(slices, PLAN, tmp_path, "tests", lambda *_: None)
    state = network_training.start(RECIPE)
    assert checkpoint.load_training(state, checkpoint_facts(tmp_path), tmp_path)
    assert state.step == 2


MODULE = "mripacs.cli.app"
COMMAND = ("admin", "models", "train", "--quick", "--json", "--checkpoints")


def test_two_processes_under_torchrun_make_one_model(shared_data, tmp_path) -> None:
    folder = shared_data / "dev" / "neurolabusc__dcm_qa_stc"
    arguments = [*COMMAND, str(tmp_path / "kept"), "--out", str(tmp_path / "model.safetensors"), str(folder)]
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", MODULE, *arguments],
        capture_output=True, text=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    model = model_file.read(tmp_path / "model.safetensors")
    assert json.loads(run.stdout)["digest"] == model.digest  # one document: the other process says nothing
    assert model.card["steps_done"] == 20


@pytest.mark.slow
def test_a_killed_training_goes_on(shared_data, tmp_path) -> None:
    folder, kept = shared_data / "dev" / "neurolabusc__dcm_qa_stc", tmp_path / "kept"
    command = [
        sys.executable,
        "-m",
        "mripacs.cli.app",
        *COMMAND,
        str(kept),
        "--out",
        str(tmp_path / "m.safetensors"),
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (kept / checkpoint.NETWORK).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "m.safetensors").exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert model_file.read(tmp_path / "m.safetensors").card["steps_done"] == 20
