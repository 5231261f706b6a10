"""Instances that no server has seen, out of real files: the same bytes under UIDs of the same length."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle
from random import Random

from mripacs.core.errors import MripacsError, SettingsError
from mripacs.core.model import ReceivedObject
from mripacs.dicom import values
from mripacs.dicom.scan import scan
from mripacs.dicom.transfer_syntax import is_deflated

SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID = 0x00080018, 0x0020000D, 0x0020000E
UUID_ROOT = "2.25."  # PS3.5 B.2
MIN_UID_LENGTH = 20  # 15 random digits: two of a million copies share one with probability 0.0005
MAX_COMPONENT = 39  # digits; those of a UUID's number


@dataclass(frozen=True, slots=True)
class Template:
    """A file's object, its three UIDs, and where their values begin in its bytes."""

    received: ReceivedObject
    uids: Mapping[int, str]
    starts: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """A copy of a template under UIDs of its own; the bytes are made when they are asked for."""

    template: Template
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str

    def received(self) -> ReceivedObject:
        """The object as it is sent, and as it must come back."""
        dataset = bytearray(self.template.received.dataset)
        uids = {
            STUDY_INSTANCE_UID: self.study_instance_uid,
            SERIES_INSTANCE_UID: self.series_instance_uid,
            SOP_INSTANCE_UID: self.sop_instance_uid,
        }
        for tag, uid in uids.items():
            start = self.template.starts[tag]
            dataset[start : start + len(uid)] = uid.encode("ascii")
        return replace(self.template.received, dataset=bytes(dataset), sop_instance_uid=self.sop_instance_uid)


class Copies:
    """An endless supply of samples. Each batch has studies of its own; its copies share them as their files do."""

    def __init__(self, objects: Iterable[ReceivedObject], random: Random) -> None:
        """Raises SettingsError when none of the objects can be copied: all three UIDs, of 20 characters and more."""
        self.templates = [template for item in objects for template in _templates(item)]
        if not self.templates:
            raise SettingsError("none of the files is a DICOM object whose UIDs can be changed")
        random.shuffle(self.templates)
        self._next = cycle(self.templates)

    def take(self, count: int) -> list[Sample]:
        """The next `count` samples. UIDs are drawn by the system, so that a seed used again makes new instances."""
        same: dict[str, str] = {}
        return [_sample(next(self._next), same) for _ in range(count)]


def syntaxes_of(templates: Iterable[Template]) -> dict[str, set[str]]:
    """Transfer syntaxes by SOP class."""
    found: dict[str, set[str]] = defaultdict(set)
    for template in templates:
        found[template.received.sop_class_uid].add(template.received.transfer_syntax)
    return found


def _templates(item: ReceivedObject) -> Iterator[Template]:
    if is_deflated(item.transfer_syntax):
        return
    try:
        dataset_map = scan(item.dataset, item.transfer_syntax)
    except MripacsError:
        return
    tags = (SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
    uids = {tag: values.text_value(item.dataset, dataset_map, tag) for tag in tags}
    if all(len(uid) >= MIN_UID_LENGTH for uid in uids.values()):
        yield Template(item, uids, {tag: dataset_map.elements[tag].value_start for tag in tags})


def _sample(template: Template, same: dict[str, str]) -> Sample:
    study, series = (template.uids[tag] for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))
    for uid in (study, series):
        same.setdefault(uid, new_uid(len(uid)))
    return Sample(template, same[study], same[series], new_uid(len(template.uids[SOP_INSTANCE_UID])))


def new_uid(length: int) -> str:
    """A UID of exactly `length` characters (20 to 64) that nobody has."""
    digits = length - len(UUID_ROOT)
    first = digits if digits <= MAX_COMPONENT else min(MAX_COMPONENT, digits - 2)
    rest = digits - first - 1
    return f"{UUID_ROOT}{_number(first)}" + (f".{_number(rest)}" if rest > 0 else "")


def _number(digits: int) -> str:
    """A random number of that many digits."""
    low: int = 10 ** (digits - 1)
    return str(low + secrets.randbelow(9 * low))
