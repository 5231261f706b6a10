"""What makes a lossy result honest: its UID and the marks it bears (PS3.3 C.7.6.1.1.5, C.7.6.1.1.2, C.12.4.1)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mripacs.core.model import Certificate
from mripacs.dicom.encode import Element, item_bytes
from mripacs.dicom.functional_groups import (
    PER_FRAME_FUNCTIONAL_GROUPS,
    SHARED_FUNCTIONAL_GROUPS,
    derivation_added,
)

METHOD_TERM = (
    "MRIPACS_KWAVELET"  # Lossy Image Compression Method, CS: 16 characters; a private term, PS3.3 C.7.6.1.1.5.1
)
METHOD_OF_SYNTAX = {
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{suffix}" for suffix in ("50", "51")), "ISO_10918_1"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{suffix}" for suffix in ("91", "93")), "ISO_15444_1"),
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
"""Defined terms for the earlier step of an object that came in a lossy syntax without naming its method."""
UNKNOWN_METHOD = "UNKNOWN"  # stands for the method of an earlier step that left a ratio without naming it
UNKNOWN_RATIO = "1"  # stands for the ratio of an earlier step that named a method only: no compression is claimed

UID_NAMESPACE = uuid.UUID(
    "0e6d2267-c2d7-4f43-9554-71ecebf49f91"
)  # ours, drawn once: changing it would rename every result
LONGEST_DESCRIPTION = 1024  # characters of ST (PS3.5 6.2)

SOP_INSTANCE_UID = 0x00080018
IMAGE_TYPE = 0x00080008
REFERENCED_SOP_CLASS_UID = 0x00081150
REFERENCED_SOP_INSTANCE_UID = 0x00081155
DERIVATION_DESCRIPTION = 0x00082111
SOURCE_IMAGE_SEQUENCE = 0x00082112
SOURCE_IMAGE_EVIDENCE_SEQUENCE = 0x00089154
REFERENCED_SERIES_SEQUENCE = 0x00081115
REFERENCED_SOP_SEQUENCE = 0x00081199
DERIVATION_CODE_SEQUENCE = 0x00089215
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SMALLEST_IMAGE_PIXEL_VALUE = 0x00280106
LARGEST_IMAGE_PIXEL_VALUE = 0x00280107
LOSSY_IMAGE_COMPRESSION = 0x00282110
LOSSY_IMAGE_COMPRESSION_RATIO = 0x00282112
LOSSY_IMAGE_COMPRESSION_METHOD = 0x00282114
PURPOSE_OF_REFERENCE_CODE_SEQUENCE = 0x0040A170

_GROUPS = (SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS)

# Digests and counts of pixels that are no longer these: MAC parameters, digital signatures, histograms.
VOID_TAGS = (0x4FFE0001, 0xFFFAFFFA, 0x00603000)
PLANE_EXTREMES = {0x00280110: "min", 0x00280111: "max"}  # Smallest and Largest Image Pixel Value in Plane, retired

READ_TAGS = (
    IMAGE_TYPE,
    DERIVATION_DESCRIPTION,
    SOURCE_IMAGE_SEQUENCE,
    SOURCE_IMAGE_EVIDENCE_SEQUENCE,
    DERIVATION_CODE_SEQUENCE,
    STUDY_INSTANCE_UID,
    SERIES_INSTANCE_UID,
    SMALLEST_IMAGE_PIXEL_VALUE,
    LARGEST_IMAGE_PIXEL_VALUE,
    *PLANE_EXTREMES,
    LOSSY_IMAGE_COMPRESSION,
    LOSSY_IMAGE_COMPRESSION_RATIO,
    LOSSY_IMAGE_COMPRESSION_METHOD,
    SHARED_FUNCTIONAL_GROUPS,
    PER_FRAME_FUNCTIONAL_GROUPS,
)
"""Elements of the received data set that `derive` builds on."""


class Samples(Protocol):
    """What the marks tell of decoded pixels: an array of them, or a certificate's account (`rebuild.Certified`)."""

    @property
    def nbytes(self) -> int:
        """Bytes of all samples."""

    @property
    def dtype(self) -> Any:
        """Their numpy type."""

    def min(self) -> Any:
        """The smallest."""

    def max(self) -> Any:
        """The largest."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """One lossy encode of one instance, as far as its marks tell."""

    sop_class_uid: str
    original_sop_instance_uid: str
    sop_instance_uid: str  # the derived one, or the original one where a site keeps it
    transfer_syntax: str  # in which the original was received
    certificate: Certificate
    payload_bytes: int
    frames: Samples  # decoded, as they leave

    @property
    def keeps_uid(self) -> bool:
        """Whether the site serves the result as the original instance."""
        return self.sop_instance_uid == self.original_sop_instance_uid

    @property
    def ratio(self) -> float:
        """Bytes of the uncompressed pixels to bytes of the payload (PS3.3 C.7.6.1.1.5.2)."""
        return self.frames.nbytes / max(1, self.payload_bytes)


def derived_uid(original_uid: str, codec: str, target: str) -> str:
    """The UID of a lossy result: a function of the original's UID, codec with version ("kwavelet 1") and target.

    "2.25." and a UUID of version 5 as an integer (PS3.5 B.2), 44 characters at most. The same three give the same
    UID in every node for ever.
    """
    return f"2.25.{uuid.uuid5(UID_NAMESPACE, chr(0).join((original_uid, codec, target))).int}"


def derive(received: Mapping[int, Element], derivation: Derivation) -> dict[int, Element | None]:
    """The elements that a lossy result bears instead of, or besides, the received ones; None for those that go.

    received : of READ_TAGS those that the data set has, in Explicit VR Little Endian, sequences as their items, Frame
    Types in functional groups already DERIVED. Where there are functional groups, they say how the frames were derived.
    A pure function: the same instance leaves with the same bytes for ever. The history of earlier lossy steps is
    appended to, with as many ratios as methods afterwards even where it was malformed. An instance that keeps its UID
    gets the same marks except the source image, which it would name itself, and in enhanced objects the Derivation
    Image macro, which cannot be without a source (PS3.3 C.7.6.16.2.6).
    """
    changed: dict[int, Element | None] = dict.fromkeys(VOID_TAGS)
    changed.update({tag: received[tag] for tag in _GROUPS if tag in received})
    changed[SOP_INSTANCE_UID] = Element(SOP_INSTANCE_UID, "UI", derivation.sop_instance_uid.encode())
    for mark in (_image_type, _compression, _extremes, _derivation):
        changed.update({element.tag: element for element in mark(received, derivation)})
    return changed


def derived_type(value: bytes) -> bytes:
    """An Image Type or Frame Type with value 1 DERIVED, of even length; the other values stay."""
    _, separator, rest = value.rstrip(b" \0").partition(b"\\")
    changed = b"DERIVED" + separator + rest
    return changed + b" " * (len(changed) % 2)


def _image_type(received: Mapping[int, Element], _: Derivation) -> list[Element]:
    value = _value(received, IMAGE_TYPE) or b"ORIGINAL\\PRIMARY"
    return [Element(IMAGE_TYPE, "CS", derived_type(value))]


def _compression(received: Mapping[int, Element], derivation: Derivation) -> list[Element]:
    ratios = _values(received, LOSSY_IMAGE_COMPRESSION_RATIO)
    methods = _values(received, LOSSY_IMAGE_COMPRESSION_METHOD)
    steps = max(len(ratios), len(methods))
    ratios += [UNKNOWN_RATIO] * (steps - len(ratios)) + [f"{derivation.ratio:.6g}"]
    unnamed = METHOD_OF_SYNTAX.get(derivation.transfer_syntax, UNKNOWN_METHOD)
    methods += [unnamed] * (steps - len(methods)) + [METHOD_TERM]
    return [
        Element(LOSSY_IMAGE_COMPRESSION, "CS", b"01"),
        Element(LOSSY_IMAGE_COMPRESSION_RATIO, "DS", "\\".join(ratios).encode("latin-1")),
        Element(LOSSY_IMAGE_COMPRESSION_METHOD, "CS", "\\".join(methods).encode("latin-1")),
    ]


def _derivation(received: Mapping[int, Element], derivation: Derivation) -> list[Element]:
    """How and of what the pixels were derived: in the functional groups, or in the General Image module without any."""
    ours = [
        Element(DERIVATION_DESCRIPTION, "ST", _description(derivation)),
        Element(SOURCE_IMAGE_SEQUENCE, "SQ", _source(derivation)),
        Element(DERIVATION_CODE_SEQUENCE, "SQ", item_bytes(_coded("113040", "Lossy Compression"))),
    ]
    if derivation.keeps_uid and any(tag in received for tag in _GROUPS):
        return []  # the macro is for images "derived from another SOP Instance" and demands a source
    groups = derivation_added(received, item_bytes(ours))
    if groups:
        return [*groups.values(), *_evidence(received, derivation)]
    return [_appended(received, element) for element in ours if element.value]


def _description(derivation: Derivation) -> bytes:
    worst = derivation.certificate.worst
    measured = f", error {worst.rel_error:.4g} of the norm, {worst.max_error} at most" if worst else ""
    return f"Lossy compression by {derivation.certificate.codec} to {derivation.certificate.target}{measured}".encode()


def _source(derivation: Derivation) -> bytes:
    """The item that names the original; nothing for an instance that keeps its UID."""
    if derivation.keeps_uid:
        return b""
    purpose = item_bytes(_coded("121320", "Uncompressed predecessor"))
    return item_bytes([*_reference(derivation), Element(PURPOSE_OF_REFERENCE_CODE_SEQUENCE, "SQ", purpose)])


def _evidence(received: Mapping[int, Element], derivation: Derivation) -> list[Element]:
    """Where the original is: enhanced objects repeat their sources by study and series (PS3.3 C.8.13.2)."""
    instance = item_bytes(_reference(derivation))
    series = item_bytes(
        [
            Element(REFERENCED_SOP_SEQUENCE, "SQ", instance),
            Element(SERIES_INSTANCE_UID, "UI", _value(received, SERIES_INSTANCE_UID)),
        ]
    )
    study = item_bytes(
        [
            Element(REFERENCED_SERIES_SEQUENCE, "SQ", series),
            Element(STUDY_INSTANCE_UID, "UI", _value(received, STUDY_INSTANCE_UID)),
        ]
    )
    return [_appended(received, Element(SOURCE_IMAGE_EVIDENCE_SEQUENCE, "SQ", study))]


def _reference(derivation: Derivation) -> list[Element]:
    return [
        Element(REFERENCED_SOP_CLASS_UID, "UI", derivation.sop_class_uid.encode()),
        Element(REFERENCED_SOP_INSTANCE_UID, "UI", derivation.original_sop_instance_uid.encode()),
    ]


def _appended(received: Mapping[int, Element], ours: Element) -> Element:
    """Our items behind those there; our sentence behind the one there, which is cut where both do not fit."""
    if ours.vr == "SQ":
        return ours._replace(value=_items(received, ours.tag) + ours.value)
    before = _value(received, ours.tag)
    if before:
        before = before[: LONGEST_DESCRIPTION - len(ours.value) - 2] + b"; "
    return ours._replace(value=before + ours.value)


def _extremes(received: Mapping[int, Element], derivation: Derivation) -> list[Element]:
    """The smallest and largest value of these pixels, where the data set tells them."""
    frames = derivation.frames
    found: dict[int, Callable[[], Any]] = {
        SMALLEST_IMAGE_PIXEL_VALUE: frames.min,
        LARGEST_IMAGE_PIXEL_VALUE: frames.max,
        **{tag: getattr(frames, extreme) for tag, extreme in PLANE_EXTREMES.items()},
    }
    signed = frames.dtype.kind == "i"
    return [
        Element(tag, "SS" if signed else "US", int(extreme()).to_bytes(2, "little", signed=signed))
        for tag, extreme in found.items()
        if _value(received, tag)
    ]


def _coded(value: str, meaning: str) -> list[Element]:
    """A code of the DICOM terminology (PS3.16 Annex D)."""
    return [
        Element(0x00080100, "SH", value.encode()),
        Element(0x00080102, "SH", b"DCM"),
        Element(0x00080104, "LO", meaning.encode()),
    ]


def _value(received: Mapping[int, Element], tag: int) -> bytes:
    return received[tag].value.strip(b" \0") if tag in received else b""


def _values(received: Mapping[int, Element], tag: int) -> list[str]:
    """The values of a text element, malformed ones as they are; none for an absent or empty one."""
    text = _value(received, tag).decode("latin-1")
    return [value.strip(" \0") for value in text.split("\\")] if text else []


def _items(received: Mapping[int, Element], tag: int) -> bytes:
    return received[tag].value if tag in received else b""
