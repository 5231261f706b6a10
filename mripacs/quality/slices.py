"""Slices to measure on: single-frame grey MR images of DICOM files, a few of the middle of each series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import MripacsError
from mripacs.dicom import index, part10, pixels, scan, transfer_syntax

MAX_BYTES = 1 << 28  # of an inflated data set; a slice is far smaller


@dataclass(frozen=True, slots=True)
class Slice:
    """One image to measure on."""

    label: str
    vendor: str  # first word of Manufacturer, in capitals
    series_instance_uid: str
    instance_number: int
    pixels: NDArray[Any]  # (rows, columns) of uint8, uint16 or int16, stored values


def load_slices(items: Iterable[tuple[str, Path | bytes]], per_series: int) -> list[Slice]:
    """Up to `per_series` slices of each series of single-frame MR images, spread over its middle half.

    items : labelled files or their bytes. What is no grey single-frame MR image, or constant, is passed over.
    """
    by_series: dict[str, list[Slice]] = defaultdict(list)
    for found in _readable(items):
        by_series[found.series_instance_uid].append(found)
    return [chosen for series in by_series.values() for chosen in _middle(series, per_series)]


def by_vendor(slices: Iterable[Slice]) -> Mapping[str, list[Slice]]:
    """Slices by vendor, in the order of the vendors' names, and all of them under "all"."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for each in slices:
        groups[each.vendor].append(each)
    return {"all": [each for group in groups.values() for each in group], **dict(sorted(groups.items()))}


def _readable(items: Iterable[tuple[str, Path | bytes]]) -> Iterator[Slice]:
    for label, content in items:
        try:
            found = _read(label, content)
        except MripacsError:
            continue  # a folder of images holds other files too
        if found is not None and found.pixels.min() != found.pixels.max():
            yield found


def _read(label: str, content: Path | bytes) -> Slice | None:
    received = part10.read_part10(content)
    syntax = received.transfer_syntax
    dataset = transfer_syntax.plain(received.dataset, syntax, MAX_BYTES)
    dataset_map = scan.scan(dataset, syntax)
    attributes = index.index_attributes(dataset, dataset_map, syntax)
    if attributes.series.get("Modality") != "MR":
        return None
    description = pixels.describe(dataset, dataset_map, syntax)
    if description.frames != 1 or description.samples != 1:
        return None
    return Slice(
        label=label,
        vendor=str(attributes.series.get("Manufacturer", "")).replace("_", " ").split(" ")[0].upper() or "(none)",
        series_instance_uid=str(attributes.series["SeriesInstanceUID"]),
        instance_number=int(attributes.instance.get("InstanceNumber", 0)),
        pixels=pixels.decode_frames(dataset, dataset_map, syntax, description)[0],
    )


def _middle(series: list[Slice], count: int) -> list[Slice]:
    ordered = sorted(series, key=lambda each: (each.instance_number, each.label))
    if len(ordered) <= count:
        return ordered
    places = np.linspace(len(ordered) / 4, len(ordered) * 3 / 4, count).astype(int)
    return [ordered[place] for place in places]
