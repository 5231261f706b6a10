"""Instances to store: made up, or cut out of real files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mripacs.core.errors import MripacsError
from mripacs.core.model import (
    Certificate,
    FrameRecord,
    Generation,
    IndexAttributes,
    NewInstance,
    ReceivedFrom,
    ReceivedObject,
    Tier,
)
from mripacs.dicom.index import index_attributes
from mripacs.dicom.part10 import read_part10
from mripacs.dicom.pixels import cut
from mripacs.dicom.scan import DatasetMap, scan

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
FRAMES = tuple(
    FrameRecord(Generation.FIRST_LOSS, rel_error, max_error, 40.25, 12.5, 1000 + max_error)
    for rel_error, max_error in ((0.012345678901234567, 7), (0.049, 31), (0.0, 0))
)


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def certificate(received: bytes, tier: Tier = Tier.KWAVELET, frames: tuple[FrameRecord, ...] = FRAMES) -> Certificate:
    coded = tier is not Tier.VERBATIM
    return Certificate(
        tier=tier,
        rule="MR",
        reason="Modality is MR",
        codec="kwavelet 1" if coded else None,
        target="rel_error=0.05" if tier is Tier.KWAVELET else None,
        generation=Generation.FIRST_LOSS if tier is Tier.KWAVELET else Generation.LOSSLESS,
        received_digest=digest_of(received),
        source_pixel_digest=digest_of(b"source" + received) if coded else None,
        decoded_pixel_digest=digest_of(b"decoded" + received) if coded else None,
        frames=frames if coded else (),
        received_bytes=len(received) + 1000,
        received_pixel_bytes=1000 if coded else 0,
        restores_received=tier is not Tier.KWAVELET,
    )


def new_instance(
    uid: str = "1.2.3.4",
    series: str = "1.2.3",
    study: str = "1.2",
    *,
    served: str | None = None,
    header: bytes | None = None,
    payload: bytes | None = b"payload",
    tier: Tier = Tier.KWAVELET,
    transfer_syntax: str = EXPLICIT,
    patient: dict[str, str | int] | None = None,
    of_study: dict[str, str | int] | None = None,
    of_series: dict[str, str | int] | None = None,
    of_instance: dict[str, str | int] | None = None,
) -> NewInstance:
    """A small instance; attributes given are added to the UIDs that each level needs."""
    header = b"header of " + uid.encode() * 20 if header is None else header
    attributes = IndexAttributes(
        patient={"PatientID": "P1", **(patient or {})},
        study={"StudyInstanceUID": study, **(of_study or {})},
        series={"SeriesInstanceUID": series, "Modality": "MR", **(of_series or {})},
        instance={"SOPClassUID": MR_IMAGE, "SOPInstanceUID": uid, **(of_instance or {})},
    )
    return NewInstance(
        sop_class_uid=MR_IMAGE,
        sop_instance_uid=served or uid,
        original_sop_instance_uid=uid,
        transfer_syntax=transfer_syntax,
        attributes=attributes,
        certificate=certificate(header, tier),
        header=header,
        pixel_offset=None if payload is None else len(header),
        payload=payload,
        source=ReceivedFrom("C-STORE", "SENDER", "MRIPACS", "127.0.0.1"),
    )


def real_instances(paths: Iterable[Path]) -> Iterator[NewInstance]:
    """The files that are DICOM objects with an identity, headers cut as the node cuts them, payloads made up."""
    for path in paths:
        try:
            received = read_part10(path)
            dataset_map = scan(received.dataset, received.transfer_syntax)
        except MripacsError:
            continue
        attributes = index_attributes(received.dataset, dataset_map, received.transfer_syntax)
        if {"StudyInstanceUID", "SeriesInstanceUID"} <= attributes.study.keys() | attributes.series.keys():
            yield _real_instance(received, dataset_map, attributes)


def _real_instance(received: ReceivedObject, dataset_map: DatasetMap, attributes: IndexAttributes) -> NewInstance:
    header, offset, payload = received.dataset, None, None
    if dataset_map.pixel is not None:
        header, offset = cut(received.dataset, dataset_map, received.transfer_syntax)
        payload = hashlib.shake_256(received.dataset).digest(3000)  # the size of a 256 x 256 slice at 5 %
    return NewInstance(
        sop_class_uid=received.sop_class_uid,
        sop_instance_uid=received.sop_instance_uid,
        original_sop_instance_uid=received.sop_instance_uid,
        transfer_syntax=received.transfer_syntax,
        attributes=attributes,
        certificate=certificate(received.dataset, Tier.LOSSLESS if payload else Tier.VERBATIM, FRAMES[2:]),
        header=header,
        pixel_offset=offset,
        payload=payload,
        source=ReceivedFrom("import"),
    )
