"""The image: its Dockerfile says what it must, and its steps make a node that answers C-ECHO."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from mripacs import __version__
from mripacs.core.settings import load_settings
from tests.docker.dockerfile import Stage, read_dockerfile
from tests.docker.image_root import ImageRoot, debootstrap
from tests.real_parts import REPOSITORY

START_S = 120  # the image's own start period


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return read_dockerfile(REPOSITORY / "docker" / "Dockerfile")


def test_the_node_runs_without_root_rights(stages: list[Stage]) -> None:
    names = [each.name for each in stages[-1].instructions]
    assert stages[-1].all("USER")[-1].text == "mripacs"
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "USER" not in names[names.index("ENTRYPOINT") :]


def test_its_settings_are_valid(stages: list[Stage]) -> None:
    settings = load_settings(environment=stages[-1].environment)
    assert settings.archive.directory == Path(stages[-1].all("VOLUME")[0].text)
    assert str(settings.dimse.port) == stages[-1].all("EXPOSE")[0].text
    assert settings.dimse.host == "0.0.0.0"  # noqa: S104 - inside the container


def test_its_label_is_this_version(stages: list[Stage]) -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in [each.text for each in stages[-1].all("LABEL")]


def test_what_it_copies_is_handed_to_the_builder(stages: list[Stage]) -> None:
    copied = {word for each in stages[0].all("COPY") for word in each.words[:-1]}
    let_through = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert copied == let_through
    assert all((REPOSITORY / name).exists() for name in copied)


@pytest.fixture(scope="module")
def image(stages: list[Stage], tmp_path_factory: pytest.TempPathFactory, require_program) -> ImageRoot:
    """The last stage, built; removed when the module ends."""
    for name in ("debootstrap", "chroot", "unshare"):
        require_program(name)
    if os.geteuid():
        pytest.skip("chroot needs root rights")
    folder = tmp_path_factory.mktemp("image")
    debootstrap(folder / "debian")
    built: dict[str, ImageRoot] = {}
    for number, stage in enumerate(stages):
        assert stage.base == "debian:bookworm-slim"
        root = folder / f"stage-{number}"
        subprocess.run(["cp", "--archive", "--reflink=auto", folder / "debian", root], check=True)
        built[stage.name] = ImageRoot(root)
        built[stage.name].build(stage, REPOSITORY, built)
    yield built[stages[-1].name]
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_user_of_the_image_can_run_mripacs(image: ImageRoot) -> None:
    assert image.run("mripacs --version").strip() == f"mripacs {__version__}"
    assert image.run("id --user").strip() == "10112"
    with pytest.raises(AssertionError, match="Permission denied"):
        image.run("touch /opt/mripacs/bin/mripacs")


@pytest.mark.slow
def test_its_kernels_are_compiled_and_its_build_tools_stayed_behind(image: ImageRoot) -> None:
    assert list(image.inside("/var/lib/mripacs/numba").rglob("*.nbi"))
    assert image.run("command -v gcc || echo none").strip() == "none"


@pytest.mark.slow
def test_its_node_is_healthy_and_ends_when_told(image: ImageRoot) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    node = image.start(MRIPACS_DIMSE__PORT=port, MRIPACS_DIMSE__HOST="127.0.0.1")
    try:
        _wait_until_healthy(image, port, node)
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=30) == 0
    finally:
        node.kill()
        node.communicate()
    assert image.inside("/var/lib/mripacs/mripacs.db").exists()


def _wait_until_healthy(image: ImageRoot, port: str, node: subprocess.Popen[str]) -> None:
    """Ask the image's health check until it answers 0; fail with its last words."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            image.run(image.health_check, MRIPACS_DIMSE__PORT=port)
        except AssertionError:
            if node.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return
