"""Files to import: single ones, whole folders, and the members of zip archives."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from mripacs.core.errors import NotDicomError, ObjectTooLargeError, SettingsError

LocalItem = tuple[str, Path | bytes]  # a label for messages, and a file or its bytes


def find_items(paths: list[Path], max_bytes: int) -> Iterator[LocalItem]:
    """Every file under the paths, folders in the order of their names, zip members read one by one.

    max_bytes : largest zip member that is unpacked. Raises SettingsError for a path that does not exist,
    ObjectTooLargeError for a larger member, NotDicomError for a damaged zip archive.
    """
    for path in paths:
        if not path.exists():
            raise SettingsError(f"{path} does not exist")
        files = [path] if path.is_file() else (file for file in sorted(path.rglob("*")) if file.is_file())
        for file in files:
            if zipfile.is_zipfile(file):
                yield from _members(file, max_bytes)
            else:
                yield str(file), file


def _members(path: Path, max_bytes: int) -> Iterator[LocalItem]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                if member.file_size > max_bytes:
                    raise ObjectTooLargeError(f"{path}: {member.filename} unpacks to {member.file_size} bytes")
                with archive.open(member) as stream:  # the announced size is a claim: read no more than that
                    yield f"{path}:{member.filename}", stream.read(max_bytes + 1)
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise NotDicomError(f"{path} cannot be unpacked: {error}") from error
