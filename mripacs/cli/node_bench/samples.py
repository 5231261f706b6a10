"""What is sent: real files' bytes under new UIDs, the same to every server; each round has instances of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mripacs.cli.crash.copies import SERIES_INSTANCE_UID, Copies, Sample, Template
from mripacs.cli.files import find_items
from mripacs.core.errors import MripacsError, SettingsError
from mripacs.core.model import ReceivedObject
from mripacs.core.settings import LimitSettings
from mripacs.dicom.part10 import read_part10

MAX_FILE_BYTES = 2_000_000  # a few larger ones would be all that is measured
SMALLEST_SERIES = 2


@dataclass(frozen=True, slots=True)
class SentSeries:
    """Copies of one real series, all of it in one study."""

    study_instance_uid: str
    series_instance_uid: str
    objects: list[ReceivedObject]

    @property
    def contexts(self) -> list[tuple[str, str]]:
        """SOP classes and transfer syntaxes of its instances, each pair once."""
        return list(dict.fromkeys((item.sop_class_uid, item.transfer_syntax) for item in self.objects))


class Samples:
    """An endless supply of copies, the same for the same files, count and seed but for the UIDs.

    files : how many real files are used, spread evenly over all that were found.
    """

    def __init__(self, folders: Sequence[Path], files: int, count: int, seed: int) -> None:
        """Raises SettingsError when there is no file to copy, or no series of two."""
        objects = _spread(list(_read(folders)), files)
        self.sets = [folder.name for folder in folders]
        self.bytes_sent = sum(len(item.dataset) for item in objects)
        self.files = len(objects)
        self._count = count
        self._mixed = Copies(objects, Random(seed))  # noqa: S311 - an order, no secret
        self._series = _largest_series(Copies(_read(folders), Random(seed)).templates)  # noqa: S311
        self._turn = 0

    def mixed(self) -> list[ReceivedObject]:
        """The next `count` copies over all files."""
        return [sample.received() for sample in self._mixed.take(self._count)]

    def series(self) -> SentSeries:
        """A copy of the next of the real series, its first `count` instances."""
        templates = self._series[self._turn % len(self._series)][: self._count]
        self._turn += 1
        copies = Copies([template.received for template in templates], Random(0))  # noqa: S311
        samples: list[Sample] = copies.take(len(copies.templates))
        first = samples[0]
        return SentSeries(
            first.study_instance_uid, first.series_instance_uid, [sample.received() for sample in samples]
        )


def _read(folders: Iterable[Path]) -> Iterable[ReceivedObject]:
    for _, content in find_items(list(folders), LimitSettings().max_object_bytes):
        try:
            item = read_part10(content)
        except MripacsError:
            continue  # folders of DICOM files hold other files, too
        if len(item.dataset) <= MAX_FILE_BYTES:
            yield item


def _spread(objects: list[ReceivedObject], count: int) -> list[ReceivedObject]:
    step = max(1.0, len(objects) / count)
    return [objects[int(index * step)] for index in range(min(count, len(objects)))]


def _largest_series(templates: Iterable[Template]) -> list[list[Template]]:
    """The series by number of instances, largest first; those that are much smaller than the first are left out."""
    by_uid: dict[str, list[Template]] = defaultdict(list)
    for template in templates:
        by_uid[template.uids[SERIES_INSTANCE_UID]].append(template)
    series = sorted(by_uid.values(), key=len, reverse=True)
    if not series or len(series[0]) < SMALLEST_SERIES:
        raise SettingsError(f"the folders hold no series of {SMALLEST_SERIES} instances")
    return [each for each in series if len(each) >= len(series[0]) / 4]
