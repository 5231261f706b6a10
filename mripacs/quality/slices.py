"""Slices to measure on: single-frame grey MR images of DICOM files, a few of the middle of each series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import CodecInputError, MripacsError
from mripacs.core.model import IndexAttributes
from mripacs.dicom import index, part10, pixels, scan, transfer_syntax

MAX_BYTES = 1 << 28  # of an inflated data set; a slice is far smaller


@dataclass(frozen=True, slots=True)
class Slice:
    """One image to measure on."""

    label: str
    vendor: str  # first word of Manufacturer, in capitals
    study_instance_uid: str
    series_instance_uid: str
    pixels: NDArray[Any]  # (rows, columns) of uint8, uint16 or int16, stored values


def load_slices(items: Iterable[tuple[str, Path | bytes]], per_series: int) -> list[Slice]:
    """Up to `per_series` slices of each series of single-frame MR images, spread over its middle half.

    items : labelled files or their bytes. What is no grey single-frame MR image, or constant, is passed over.
    """
    by_series: dict[str, list[_Candidate]] = defaultdict(list)
    for label, content in items:
        with suppress(MripacsError):  # a folder of images holds other files too
            candidate = _Candidate.of(label, content)
            by_series[candidate.series_instance_uid].append(candidate)
    slices: list[Slice] = []
    for series in by_series.values():
        for candidate in _middle(series, per_series):
            with suppress(MripacsError):
                slices.append(candidate.decode())
    return [each for each in slices if each.pixels.min() != each.pixels.max()]


def by_vendor(slices: Iterable[Slice]) -> Mapping[str, list[Slice]]:
    """Slices by vendor, in the order of the vendors' names, and all of them under "all"."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for each in slices:
        groups[each.vendor].append(each)
    return {"all": [each for group in groups.values() for each in group], **dict(sorted(groups.items()))}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A file that is a single-frame grey MR image by its header; only the chosen ones are decoded."""

    label: str
    content: Path | bytes
    series_instance_uid: str
    instance_number: int

    @classmethod
    def of(cls, label: str, content: Path | bytes) -> Self:
        opened = _Opened.of(content)
        attributes = opened.attributes
        if attributes.series.get("Modality") != "MR":
            raise CodecInputError(f"{label} is no MR image")
        if opened.description.frames != 1 or opened.description.samples != 1:
            raise CodecInputError(f"{label} is no single grey frame")
        series = str(attributes.series["SeriesInstanceUID"])
        return cls(label, content, series, int(attributes.instance.get("InstanceNumber", 0)))

    def decode(self) -> Slice:
        opened = _Opened.of(self.content)
        attributes = opened.attributes
        return Slice(
            label=self.label,
            vendor=str(attributes.series.get("Manufacturer", "")).replace("_", " ").split(" ")[0].upper() or "(none)",
            study_instance_uid=str(attributes.study["StudyInstanceUID"]),
            series_instance_uid=self.series_instance_uid,
            pixels=pixels.decode_frames(opened.dataset, opened.map, opened.syntax, opened.description)[0],
        )


@dataclass(frozen=True, slots=True)
class _Opened:
    """A data set and what its header says."""

    dataset: bytes
    syntax: str
    map: scan.DatasetMap
    attributes: IndexAttributes
    description: pixels.PixelDescription

    @classmethod
    def of(cls, content: Path | bytes) -> Self:
        received = part10.read_part10(content)
        syntax = received.transfer_syntax
        dataset = bytes(transfer_syntax.plain(received.dataset, syntax, MAX_BYTES))
        found = scan.scan(dataset, syntax)
        attributes = index.index_attributes(dataset, found, syntax)
        index.check_identity(attributes, received.sop_class_uid, received.sop_instance_uid)
        return cls(dataset, syntax, found, attributes, pixels.describe(dataset, found, syntax))


def _middle(series: list[_Candidate], count: int) -> list[_Candidate]:
    ordered = sorted(series, key=lambda each: (each.instance_number, each.label))
    if len(ordered) <= count:
        return ordered
    places = np.linspace(len(ordered) / 4, len(ordered) * 3 / 4, count).astype(int)
    return [ordered[place] for place in places]
