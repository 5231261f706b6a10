"""Golden payloads decode to the pixels they always did, compiled and not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mripacs import codec
from mripacs.codec.registry import find
from mripacs.core.model import Target, TargetKind
from tests.golden.write_golden import DIGESTS, FOLDER, digest
from tests.real_parts import REPOSITORY

NAMES = sorted(path.stem for path in FOLDER.glob("*.bin"))


def test_every_payload_has_a_digest() -> None:
    assert sorted(json.loads(DIGESTS.read_text())) == NAMES
    assert len(NAMES) >= 14


@pytest.mark.parametrize("name", NAMES)
def test_golden_payload(name: str) -> None:
    pixels = codec.decode((FOLDER / f"{name}.bin").read_bytes())
    assert digest(pixels) == json.loads(DIGESTS.read_text())[name]


@pytest.mark.parametrize("name", [name for name in NAMES if "lossless" not in name])
def test_golden_pixels_are_found_again(name: str) -> None:
    """A later release must not lose anything of what an earlier one stored: G5 across versions."""
    pixels = codec.decode((FOLDER / f"{name}.bin").read_bytes())
    frames = pixels if pixels.ndim == 3 else pixels[None]
    again = find("kwavelet").encode(frames, Target(TargetKind.REL_ERROR, 0.5))
    stored = [k for k, record in enumerate(again.frames) if record.generation != "first loss"]
    np.testing.assert_array_equal(again.decoded[stored], frames[stored])
    assert name.endswith(("-extremes", "-row")) or len(stored) == len(frames)


@pytest.mark.parametrize(
    "name",
    [
        "v1-odd",
        "v1-k",
        "v1-extremes",
        "v2-odd",
        "v2-k",
        "v2-extremes",
        "v2-uint16-1",
        "v2-small-tiny",
        "v2-small2-tiny",
    ],
)
def test_without_the_compiler(name: str) -> None:
    """The kernels as plain Python give the same integers."""
    script = (
        "import pathlib, sys, mripacs.codec as c; from tests.golden.write_golden import digest;"
        "print(digest(c.decode(pathlib.Path(sys.argv[1]).read_bytes())))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(FOLDER / f"{name}.bin")],
        cwd=REPOSITORY,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == json.loads(DIGESTS.read_text())[name]


@pytest.mark.parametrize(
    "variables",
    [
        {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Nehalem"},
        {"OPENBLAS_CORETYPE": "Haswell"},
    ],
    ids=["one thread", "two threads", "SSE kernels", "AVX2 kernels"],
)
def test_with_other_threads_and_matrix_kernels(variables: dict[str, str]) -> None:
    """The net's sums are exact, so neither how many threads there are nor which BLAS kernel runs can change a pixel."""
    script = (
        "import json, pathlib, mripacs.codec as c; from tests.golden.write_golden import FOLDER, digest;"
        "print(json.dumps({p.stem: digest(c.decode(p.read_bytes())) for p in FOLDER.glob('v2-small*.bin')}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, **variables, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    digests = json.loads(DIGESTS.read_text())
    small = {name: digests[name] for name in NAMES if name.startswith("v2-small")}
    assert json.loads(result.stdout) == small
    assert len(small) >= 10


def test_the_writer_leaves_what_is_there() -> None:
    before = {path: path.stat().st_mtime_ns for path in FOLDER.glob("*.bin")}
    writer = FOLDER / "write_golden.py"
    result = subprocess.run([sys.executable, str(writer)], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.count("left alone") == len(NAMES)
    assert before == {path: path.stat().st_mtime_ns for path in FOLDER.glob("*.bin")}
