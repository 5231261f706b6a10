"""C-FIND by DCMTK's findscu, its responses as pydicom reads them."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from tests.e2e import dcmtk


@dataclass(frozen=True)
class Found:
    """Responses in their order, the status of the last one in findscu's words, and all that findscu said."""

    responses: list[Dataset]
    status: str
    output: str

    def values(self, keyword: str) -> list[str]:
        """The values of an element in all responses, sorted."""
        return sorted(str(response.get(keyword, "")) for response in self.responses)


def findscu(port: int, level: str, *options: str, root: str = "-S", **keys: str) -> Found:
    """A query in the study (-S) or patient (-P) root model; level "" sends none."""
    arguments = dcmtk.keys(level, **keys)[0 if level else 2 :]
    with tempfile.TemporaryDirectory() as folder:
        command = ["-d", root, "-aec", "MRIPACS", "-X", "-od", folder, *options, *arguments, "127.0.0.1", port]
        output = dcmtk.output_of(dcmtk.run("findscu", *command))
        responses = [dcmread(path) for path in sorted(Path(folder).glob("rsp*.dcm"))]
        statuses = re.findall(r"DIMSE Status\s+: (0x[0-9a-f]{4})", output)
        return Found([Dataset(response) for response in responses], statuses[-1] if statuses else "", output)
