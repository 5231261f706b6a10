"""The compose file: accepted by compose itself, no default password, closed to the network unless opened."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from mripacs.core.settings import load_settings
from tests import real_parts
from tests.docker.dockerfile import read_dockerfile

FOLDER = real_parts.REPOSITORY / "docker"


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """The command line of compose, plug-in or stand-alone. Neither needs an engine to read a file."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and _succeeds([*command, "version"]):
            return command
    return real_parts.lacking("docker compose", "`bash .ci/run` installs docker-compose on Debian")


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def config(compose: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    command = [*compose, "--file", str(FOLDER / "compose.yaml"), "config"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_compose_accepts_the_file(compose: list[str]) -> None:
    done = config(compose, POSTGRES_PASSWORD="secret")
    assert done.returncode == 0, done.stderr
    assert "postgresql://mripacs:secret@database:5432/mripacs" in done.stdout


@pytest.mark.parametrize("variables", [{}, {"POSTGRES_PASSWORD": ""}], ids=["unset", "empty"])
def test_there_is_no_default_password(compose: list[str], variables: dict[str, str]) -> None:
    done = config(compose, **variables)
    assert done.returncode != 0
    assert "set it in docker/.env" in done.stderr


def test_ports_are_bound_to_this_machine_unless_opened(compose: list[str]) -> None:
    bound = re.compile(r"127\.0\.0\.1:11112:11112|host_ip: 127\.0\.0\.1")
    assert bound.search(config(compose, POSTGRES_PASSWORD="x").stdout)
    assert not bound.search(config(compose, POSTGRES_PASSWORD="x", BIND_ADDRESS="192.0.2.1").stdout)


def test_its_settings_are_valid_on_top_of_the_images(compose: list[str]) -> None:
    text = config(compose, POSTGRES_PASSWORD="x").stdout
    ours = {name: value.strip("\"'") for name, value in re.findall(r"^ +(MRIPACS_\w+): (.+)$", text, re.MULTILINE)}
    assert len(ours) >= 3
    settings = load_settings(environment=read_dockerfile(FOLDER / "Dockerfile")[-1].environment | ours)
    assert settings.database_url == "postgresql+psycopg://mripacs:x@database:5432/mripacs"


def test_the_example_names_every_variable() -> None:
    used = set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text(encoding="utf-8")))
    offered = set(re.findall(r"^#?(\w+)=", (FOLDER / "env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert used == offered
