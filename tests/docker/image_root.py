"""Carry out a Dockerfile's instructions in root folders of Debian, as an image builder would, with chroot alone.

Every command runs in a mount namespace of its own: what is mounted for it is gone when it ends.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.docker.dockerfile import Instruction, Stage

# How the machine reaches the package index: a builder hands these on, they are no part of the image.
INDEX_SETTINGS = re.compile(
    r"PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|PROXY|DEFAULT_TIMEOUT)|https?_proxy|no_proxy", re.I
)
FIRST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what engines start with
BUILDERS_CERTIFICATES = "/run/builder-certificates.crt"
MOUNTS = (
    'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev"'
    f' && if [ -n "$2" ]; then : >"$1{BUILDERS_CERTIFICATES}" && mount --bind "$2" "$1{BUILDERS_CERTIFICATES}"; fi'
    ' && shift 2 && exec "$@"'
)


def debootstrap(root: Path) -> None:
    """Make a minimal Debian 12 in `root`: the packages that debian:bookworm-slim is made from."""
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(root)], check=True, stdout=subprocess.DEVNULL)


@dataclass
class ImageRoot:
    """A stage under construction: its root folder and what instructions have set so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": FIRST_PATH})
    user: str = "root"
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health_check: str = ""

    def build(self, stage: Stage, context: Path, others: Mapping[str, ImageRoot]) -> None:
        """Carry out every instruction of `stage`. AssertionError when one fails, ValueError for an unknown one."""
        for each in stage.instructions:
            match each.name:
                case "RUN":
                    self.run(each.text)
                case "COPY":
                    self._copy(each, context, others)
                case "ENV":
                    self.environment |= dict(word.split("=", 1) for word in each.words)
                case "USER":
                    self.user = each.text
                case "WORKDIR":
                    self.folder = each.text
                    self.inside(each.text).mkdir(parents=True, exist_ok=True)
                case "ENTRYPOINT":
                    self.entrypoint = json.loads(each.text)
                case "CMD":
                    self.command = json.loads(each.text)
                case "HEALTHCHECK":
                    self.health_check = each.text.partition("CMD ")[2]
                case "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "LABEL":
                    pass  # what only describes the image
                case _:
                    raise ValueError(f"{each.name} is not carried out here")

    def run(self, command: str, **more_environment: str) -> str:
        """What a shell command prints, run in the root as its user. AssertionError with its last words if it fails."""
        done = subprocess.run(self._words(command, more_environment), capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"exit {done.returncode}: {command}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def start(self, **more_environment: str) -> subprocess.Popen[str]:
        """The image's own process: entry point and command. The caller ends it."""
        command = "exec " + " ".join([*self.entrypoint, *self.command])
        return subprocess.Popen(self._words(command, more_environment), stderr=subprocess.PIPE, text=True)

    def inside(self, path: str) -> Path:
        """Where an absolute or relative path of the image lies on this machine."""
        return self.root / str(Path(self.folder, path)).lstrip("/")

    def _words(self, command: str, more: Mapping[str, str]) -> list[str]:
        """The command line that runs a shell command inside the root, each program replacing the one before."""
        certificates = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ""
        index = {name: value for name, value in os.environ.items() if INDEX_SETTINGS.fullmatch(name)}
        if certificates:
            index["PIP_CERT"] = BUILDERS_CERTIFICATES
        environment = [f"{name}={value}" for name, value in (self.environment | index | dict(more)).items()]
        outside = ["unshare", "--mount", "sh", "-c", MOUNTS, "sh", str(self.root), certificates]
        inside = ["chroot", f"--userspec={self.user}", str(self.root), "/usr/bin/env", "-i", *environment]
        return [*outside, *inside, "/bin/sh", "-c", f"cd {self.folder} && {command}"]

    def _copy(self, copy: Instruction, context: Path, others: Mapping[str, ImageRoot]) -> None:
        *sources, target = [word for word in copy.words if not word.startswith("--")]
        stage = next((word.partition("=")[2] for word in copy.words if word.startswith("--from=")), None)
        origin = others[stage].root if stage else context
        for source in sources:
            _copy_one(origin / source.lstrip("/"), self.inside(target))


def _copy_one(source: Path, target: Path) -> None:
    """COPY's rule: a folder's contents go into the target, a file under its name or into a folder."""
    if source.is_dir():
        caches = shutil.ignore_patterns("__pycache__")  # as .dockerignore says
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=caches)
    else:
        shutil.copy2(source, target)
