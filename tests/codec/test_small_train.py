"""Making the tables of the `small` coder: what is learnt on some slices saves bytes on others."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mripacs.cli.app import app
from mripacs.codec.kwavelet import small_train
from mripacs.codec.kwavelet.bands import subbands
from mripacs.codec.kwavelet.small_augment import augmented
from mripacs.codec.kwavelet.small_samples import collect
from mripacs.codec.kwavelet.small_tables import SmallTables, shipped, untrained
from mripacs.codec.kwavelet.small_train import Plan
from mripacs.core.errors import CodecInputError
from tests.codec.images import DEV_FOLDERS, phantom
from tests.real_parts import module

module("torch", "`make learned` installs it")

QUICK = Plan(variations=(1, 1), kept=(0.5, 0.5), epochs=(30.0, 30.0), learnt=4)


def slices(first: int, count: int) -> list[np.ndarray]:
    return [phantom(64, seed) for seed in range(first, first + count)]


@pytest.fixture(scope="module")
def trained() -> SmallTables:
    return small_train.train(slices(1, 8), QUICK)


def test_trained_tables_code_unseen_slices_in_fewer_bytes(trained: SmallTables) -> None:
    sizes = small_train.measure(slices(90, 3), {"untrained": untrained(), "trained": trained})
    assert sizes["trained"]["5%"] < 0.97 * sizes["untrained"]["5%"]
    assert sizes["trained"]["2%"] < 0.97 * sizes["untrained"]["2%"]


def test_training_is_repeatable(trained: SmallTables) -> None:
    assert small_train.train(slices(1, 8), QUICK).to_bytes() == trained.to_bytes()


def test_flat_images_teach_nothing() -> None:
    with pytest.raises(CodecInputError, match="grey levels"):
        small_train.train([np.zeros((40, 40), np.uint16)], QUICK)


def test_variations_stay_images() -> None:
    random = np.random.default_rng(0)
    images = [phantom(96), phantom(96, 1), (phantom(64).astype(np.int32) - 100).astype(np.int16)]
    shapes = set()
    for number in range(60):
        image = augmented(images, number % 3, random)
        assert image.dtype == np.uint16
        assert image.ndim == 2
        assert np.ptp(image) > 0
        assert image.flags.c_contiguous
        shapes.add(image.shape)
    assert {(96, 96), (192, 192)} <= shapes  # as they are, and as a mosaic
    assert len(shapes) > 6  # cut or zero-filled k-space


def test_samples_are_what_the_coder_sees() -> None:
    """Quiet places are left out, the rest is there with its indices."""
    frame = next(iter(small_train._frames([phantom(64)], QUICK, None, 0)))
    samples = collect([frame], shipped().compressed, 1.0, 0)
    assert len(samples) == 3
    total = sum(int((each.index != 0).sum()) for each in samples)
    details = [frame.indices[band.region] for band in subbands(*frame.indices.shape)[1:]]
    there = sum(np.count_nonzero(band) for band in details)
    assert 0.99 * there <= total <= there
    assert sum(map(len, samples)) < 0.95 * sum(band.size for band in details)
    for each in samples:
        assert set(each.band[:, 0]) <= {1, 2, 3, 4}
        assert each.outside.min() < 0 <= each.windows.min()


def test_the_command(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / DEV_FOLDERS["GE EPI"]
    for path in sorted(source.iterdir())[:8]:
        shutil.copy(path, tmp_path)
    out = tmp_path / "tables.npz"
    words = ["admin", "codec", "train", str(tmp_path), "--out", str(out), "--scale", "0.05", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (told["trained_on"], told["held_out"]) == (4, 4)
    assert set(told["held_out_bytes"]) == {"these", "shipped"}
    assert len(SmallTables.from_bytes(out.read_bytes()).nets) == 3
