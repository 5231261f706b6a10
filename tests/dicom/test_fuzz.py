"""Damaged data sets through the whole room: every answer is a value or an error of ours, in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mripacs.core.errors import PixelDataError, RefusedError, TranscodeError
from mripacs.dicom.facts import policy_facts
from mripacs.dicom.index import index_attributes
from mripacs.dicom.pixels import cut, decode_frames, describe, join
from mripacs.dicom.rebuild import derived_dataset
from mripacs.dicom.references import rewrite_references
from mripacs.dicom.same import same_object
from mripacs.dicom.scan import DatasetMap, scan
from mripacs.dicom.transcode import transcode
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from tests.dicom import made

FILES = ("MR_small.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm", "emri_small.dcm", "1.dcm")
pytestmark = pytest.mark.usefixtures("either_walk")
LONGEST_S = 5.0  # of one damaged object through every function, on a busy machine; 0.05 is usual


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_data_sets(shared_data: Path, data: st.DataObject) -> None:
    received = made.find(shared_data, data.draw(st.sampled_from(FILES)))
    dataset = bytearray(received.dataset)
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, min(len(dataset) - 1, 4000)))
        change = data.draw(st.binary(max_size=4))
        keep_length = data.draw(
            st.sampled_from([True, True, True, False])
        )  # moved elements are mostly refused by `scan`
        dataset[position : position + (len(change) if keep_length else 0)] = change
    start = time.perf_counter()
    try:
        found = scan(bytes(dataset), received.transfer_syntax)
    except RefusedError:
        return
    event("mapped")
    _use(bytes(dataset), received.transfer_syntax, found)
    assert time.perf_counter() - start < LONGEST_S


def _use(dataset: bytes, syntax: str, found: DatasetMap) -> None:
    attributes = index_attributes(dataset, found, syntax)
    policy_facts(dataset, found, syntax, attributes, "SCANNER")
    rewrite_references(dataset, syntax, lambda uids: dict.fromkeys(uids, "1.2.3"))
    for target in NATIVE_SYNTAXES:
        try:
            written = transcode(dataset, syntax, target)
        except TranscodeError:
            continue
        same_object(written, target, dataset, syntax)
    try:
        description = describe(dataset, found, syntax)
        frames = decode_frames(dataset, found, syntax, description)
    except PixelDataError:
        return
    header, offset = cut(dataset, found, syntax, description)
    assert join(header, offset, dataset[offset : offset + description.native_bytes]) == dataset
    try:
        derived_dataset(
            header,
            offset,
            syntax,
            frames,
            made.certificate(),
            payload_bytes=1,
            sop_instance_uid="2.25.1",
            original_sop_instance_uid="1.2.3",
            sop_class_uid=made.MR_IMAGE,
        )
    except TranscodeError:
        return
