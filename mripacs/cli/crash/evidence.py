"""What the server has after it was started again: asked over the network, or read in the folder it writes to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mripacs.cli.crash.copies import Sample
from mripacs.core.errors import DamagedInstanceError, RefusedError
from mripacs.core.model import Outgoing
from mripacs.dicom.part10 import read_part10
from mripacs.dimse.client import Peer
from mripacs.dimse.reader import Reader, reading


class Evidence(Protocol):
    """What is there."""

    def fetch(self, sample: Sample) -> Outgoing | None:
        """The instance sent under the sample's UIDs; None when it is not there.

        Raises DamagedInstanceError for one that is listed, or was begun, and is not given out.
        """

    def miscounts(self, samples: Iterable[Sample], present: Collection[str]) -> list[str]:
        """What is counted or listed otherwise than `present` says, study by study, in words."""


class Source(Protocol):
    """Where evidence is found; opened after each start of the server."""

    def open(self) -> AbstractContextManager[Evidence]:
        """Evidence as it is now."""


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """C-FIND and C-GET in the study root model."""

    peer: Peer
    syntaxes: Mapping[str, Collection[str]]  # transfer syntaxes by SOP class

    @contextmanager
    def open(self) -> Iterator[Evidence]:
        """One association for all questions."""
        with reading(self.peer, self.syntaxes) as reader:
            yield _Answers(reader)


@dataclass(frozen=True, slots=True)
class _Answers:
    reader: Reader

    def fetch(self, sample: Sample) -> Outgoing | None:
        keys = {
            "StudyInstanceUID": sample.study_instance_uid,
            "SeriesInstanceUID": sample.series_instance_uid,
            "SOPInstanceUID": sample.sop_instance_uid,
        }
        fetched = self.reader.fetch("IMAGE", keys)
        if len(fetched.instances) == 1 and not fetched.failed:
            return fetched.instances[0]
        if fetched.instances or self.reader.find("IMAGE", keys):
            raise DamagedInstanceError(f"{len(fetched.instances)} instances, {fetched.failed} failed")
        return None

    def miscounts(self, samples: Iterable[Sample], present: Collection[str]) -> list[str]:
        found: list[str] = []
        studies: dict[str, list[Sample]] = {}
        for sample in samples:
            studies.setdefault(sample.study_instance_uid, []).append(sample)
        for study, members in studies.items():
            whole = sum(sample.sop_instance_uid in present for sample in members)
            found += [f"study {study}: {words}, {whole} are whole" for words in self._other_counts(study, whole)]
        return found

    def _other_counts(self, study: str, whole: int) -> Iterator[str]:
        """Counts of the study that are not `whole`; a server need not return the number (PS3.4 C.3.4)."""
        keys = {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""}
        rows = self.reader.find("STUDY", keys)
        if len(rows) != bool(whole):
            yield f"{len(rows)} matches at study level"
        counts = {row.get("NumberOfStudyRelatedInstances") or str(whole) for row in rows}
        if counts - {str(whole)}:
            yield f"counted as {', '.join(sorted(counts))}"
        listed = self._listed(study)
        if listed != whole:
            yield f"{listed} listed at image level"

    def _listed(self, study: str) -> int:
        """Series by series, since hierarchical servers want the series' UID at image level (PS3.4 C.4.1.2.2.1)."""
        series = self.reader.find("SERIES", {"StudyInstanceUID": study, "SeriesInstanceUID": ""})
        keys = ({"StudyInstanceUID": study, "SeriesInstanceUID": row["SeriesInstanceUID"]} for row in series)
        return sum(len(self.reader.find("IMAGE", {**each, "SOPInstanceUID": ""})) for each in keys)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Part 10 files that a receiver without query and retrieve (storescp, for instance) leaves in a folder."""

    folder: Path

    @contextmanager
    def open(self) -> Iterator[Evidence]:
        """The folder as it is now."""
        objects: dict[str, Outgoing] = {}
        broken: list[str] = []
        for path in (path for path in sorted(self.folder.rglob("*")) if path.is_file()):
            try:
                item = read_part10(path)
            except RefusedError:
                broken.append(path.name)
                continue
            objects[item.sop_instance_uid] = Outgoing(
                item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax, item.dataset
            )
        yield _Files(objects, tuple(broken))


@dataclass(frozen=True, slots=True)
class _Files:
    objects: Mapping[str, Outgoing]
    broken: Sequence[str]  # names of files that cannot be read

    def fetch(self, sample: Sample) -> Outgoing | None:
        uid = sample.sop_instance_uid
        if uid not in self.objects and any(uid in name for name in self.broken):
            raise DamagedInstanceError("its file is no whole DICOM file")
        return self.objects.get(uid)

    def miscounts(self, samples: Iterable[Sample], present: Collection[str]) -> list[str]:
        return []  # files are not counted anywhere
