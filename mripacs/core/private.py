"""Files with images and headers in them: their user's alone, whatever the umask."""

from __future__ import annotations

import os
from pathlib import Path

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # not on Windows


def write_private(path: Path, data: bytes) -> None:
    """Write a file, 0600 if it is new; folders that are missing are made, 0700.

    Raises OSError, also when a symbolic link stands in its place: somebody else may have put it there.
    """
    make_private(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_LINK, 0o600), "wb") as stream:
        stream.write(data)


def make_private(folder: Path) -> None:
    """Make a folder, 0700, and those above it that are missing. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
