"""Golden payloads on another architecture: aarch64 under qemu, kernels as plain Python, numpy's own matrix kernels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.write_golden import DIGESTS, FOLDER
from tests.real_parts import REPOSITORY

pytestmark = pytest.mark.slow

RELEASE, PYTHON = "bookworm", "3.11"  # Debian's Python of that release
MIRROR = "http://deb.debian.org/debian"
WHEELS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
NAMES = (
    "v1-k",
    "v1-row",
    "v2-odd",
    "v2-k",
    "v2-small-tiny",
    "v2-small-odd",
    "v2-small2-k",
    "v2-small2-odd",
    "v2-small2-int16-5",
)

# The package's own __init__ needs pydantic, of which the codec has no need: a bare package stands in for it.
DECODE = """
import hashlib, json, pathlib, platform, sys, types
sys.path[:0] = [sys.argv[1]]
package = types.ModuleType("mripacs")
package.__path__ = [sys.argv[2]]
sys.modules["mripacs"] = package
import numpy as np
from mripacs import codec

def digest(pixels):
    samples = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode() + samples.tobytes()).hexdigest()

found = {path: digest(codec.decode(pathlib.Path(path).read_bytes())) for path in sys.argv[3:]}
print(json.dumps({"machine": platform.machine(), "digests": found}))
"""


@pytest.fixture(scope="module")
def foreign_root(require_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked packages of a small arm64 Debian: enough to run its Python."""
    require_program("qemu-aarch64")
    root = tmp_path_factory.mktemp("arm64") / "root"
    options = ["--arch=arm64", "--foreign", "--variant=minbase", "--include=python3,libstdc++6,zlib1g"]
    subprocess.run([require_program("debootstrap"), *options, RELEASE, root, MIRROR], check=True, capture_output=True)
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def foreign_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """numpy and numba built for aarch64."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target", folder]
    platforms = [word for name in WHEELS for word in ("--platform", name)]
    wanted = ["--python-version", PYTHON, "--implementation", "cp", "numpy", "numba", "llvmlite", "imagecodecs"]
    subprocess.run([*command, *platforms, *wanted], check=True, capture_output=True)
    return folder


def test_golden_payloads_on_aarch64(foreign_root: Path, foreign_packages: Path) -> None:
    files = [str(FOLDER / f"{name}.bin") for name in NAMES]
    python = foreign_root / f"usr/bin/python{PYTHON}"
    result = subprocess.run(
        ["qemu-aarch64", "-L", foreign_root, python, "-c", DECODE, foreign_packages, REPOSITORY / "mripacs", *files],
        env={"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    told, expected = json.loads(result.stdout), json.loads(DIGESTS.read_text())
    assert told["machine"] == "aarch64"
    assert told["digests"] == {file: expected[Path(file).stem] for file in files}
