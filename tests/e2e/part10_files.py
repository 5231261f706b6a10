"""Part 10 files read by pydicom alone, so that the node's own reader is not its own judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.filewriter import write_dataset

PIXEL_DATA = 0x7FE00010
# Not part of an object's value: they belong to an encoding, or are padding.
ENCODING_TAGS = frozenset({PIXEL_DATA, 0xFFFCFFFC, 0x7FE00001, 0x7FE00002, 0x7FE00003})


@dataclass(frozen=True)
class Part10:
    """A file's transfer syntax, UIDs and the bytes of its data set."""

    path: Path
    transfer_syntax: str
    sop_class_uid: str
    sop_instance_uid: str
    dataset_bytes: bytes

    @classmethod
    def read(cls, path: Path) -> Part10:
        """A file with preamble and file meta information; its UIDs are the data set's."""
        meta = read_file_meta_info(path)
        start = 132 + 12 + meta.FileMetaInformationGroupLength
        header = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
        return cls(
            path,
            str(meta.TransferSyntaxUID),
            str(header.SOPClassUID),
            str(header.SOPInstanceUID),
            path.read_bytes()[start:],
        )


def by_uid(files: Iterable[Path]) -> dict[str, Part10]:
    """Files by their data sets' SOP Instance UID."""
    return {part.sop_instance_uid: part for part in map(Part10.read, files)}


def by_syntax(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by their transfer syntax."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        groups[str(read_file_meta_info(path).TransferSyntaxUID)].append(path)
    return groups


def copies_with_own_uids(files: Iterable[Path], folder: Path) -> list[Path]:
    """The files copied into `folder`; where several have one SOP Instance UID, all but the first get another.

    The new UID has the old one's length and is put in its place everywhere, so nothing else of the bytes changes.
    """
    folder.mkdir(parents=True)
    seen: set[str] = set()
    copies = []
    for number, path in enumerate(files):
        uid = Part10.read(path).sop_instance_uid
        content = path.read_bytes()
        if uid in seen:
            content = content.replace(uid.encode(), _changed(uid, number).encode())
        seen.add(uid)
        copies.append(folder / f"{number:04d}_{path.name}")
        copies[-1].write_bytes(content)
    return copies


def _changed(uid: str, number: int) -> str:
    """A UID of the same length that ends in a number of its own, counted down from 99...9."""
    stem, dot, last = uid.rpartition(".")
    return f"{stem}{dot}{10 ** len(last) - 1 - number}"


def differences(one: Dataset, other: Dataset, ignored: Iterable[int] = ()) -> list[str]:
    """Tags whose values differ between two data sets, pixels and group lengths not counted; at every depth."""
    skip = ENCODING_TAGS | set(ignored)
    tags = {tag for dataset in (one, other) for tag in dataset.keys() if tag not in skip and tag.element}  # noqa: SIM118
    return [str(tag) for tag in sorted(tags) if _value(one, tag) != _value(other, tag)]


def as_implicit(dataset: Dataset) -> Dataset:
    """The data set as Implicit VR Little Endian shows it, without its pixels: private elements have lost their VR."""
    bare = Dataset({tag: dataset[tag] for tag in dataset.keys() if tag not in ENCODING_TAGS})  # noqa: SIM118
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_dataset(buffer, bare)
    buffer.seek(0)
    return read_dataset(buffer, is_implicit_VR=True, is_little_endian=True)


def _value(dataset: Dataset, tag: int) -> object:
    return comparable(dataset[tag]) if tag in dataset else "absent"


def comparable(element: DataElement) -> object:
    """An element's value as far as it does not depend on how it was encoded."""
    if element.VR == "SQ":
        return [list(_items(item)) for item in element.value]
    if isinstance(element.value, bytes):
        return element.value.rstrip(b"\0 ")
    return str(element.value).rstrip("\0 ") if element.value is not None else ""


def _items(dataset: Dataset) -> Iterator[tuple[int, object]]:
    return ((element.tag, comparable(element)) for element in dataset if element.tag.element)
