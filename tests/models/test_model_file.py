"""Model files: what is taken, and what is refused with a reason."""

from __future__ import annotations

import errno
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from mripacs.core.errors import ModelError
from mripacs.models import model_file
from mripacs.models.model import PreviewModel, build

MODEL = model_file.default()


def refuse(data: bytes, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        model_file.from_bytes(data)


def test_the_shipped_model_is_small_and_says_where_it_comes_from() -> None:
    assert len(model_file.default_bytes()) <= 8 << 20
    assert {"data", "seed", "plan", "limits", "trained_series", "validation_loss"} <= MODEL.card.keys()


def test_a_file_comes_back(tmp_path: Path) -> None:
    model_file.write(model_file.to_bytes(MODEL), tmp_path / "folder" / "model.safetensors")
    again = model_file.read(tmp_path / "folder" / "model.safetensors")
    assert again.digest == MODEL.digest
    assert {**again.card} == {**MODEL.card, "digest": MODEL.digest}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_are_refused(protocol: int) -> None:
    refuse(pickle.dumps({"weights": [1.0]}, protocol), "pickle")
    refuse(b"PK\x03\x04 as torch writes it", "pickle")


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"{}", model_file.default_bytes()[:5000], b"\xff" * 9])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    refuse(data, "no safetensors file")


def test_a_flipped_weight_is_refused() -> None:
    data = bytearray(model_file.default_bytes())
    data[-3] ^= 1
    refuse(bytes(data), "SHA-256")


def test_other_tensors_are_refused() -> None:
    card = {"card": json.dumps({**MODEL.card, "digest": MODEL.digest})}
    for name, values, why in (
        ("odds.first", np.zeros((3, 3), np.int32), "int32"),
        ("network.tail", MODEL.tensors["network.tail"].astype(np.float32), "float32"),
        ("network.tail", np.full_like(MODEL.tensors["network.tail"], np.nan), "not finite"),
        ("odds.squash", np.zeros_like(MODEL.tensors["odds.squash"]), "out of range"),
        ("network.more", np.zeros(3, np.float16), "network.more"),
    ):
        refuse(save({**MODEL.tensors, name: values}, card), why)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ModelError, match="'paper'"):
        build(MODEL.tensors, {"architecture": "paper"})


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.safetensors"
    model_file.write(b"before", file)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        model_file.write(model_file.to_bytes(MODEL), file)
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_the_digest_is_of_every_tensor() -> None:
    changed = {**MODEL.tensors, "network.tail.bias": MODEL.tensors["network.tail.bias"] + np.float16(1)}
    assert PreviewModel(changed, MODEL.card).digest != MODEL.digest
