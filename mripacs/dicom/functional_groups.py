"""Functional groups of enhanced multi-frame objects (PS3.3 C.7.6.16): where they say how frames were derived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mripacs.dicom.encode import Element, explicit_bytes, header_bytes
from mripacs.dicom.headers import EXPLICIT, ITEM, UNDEFINED_LENGTH, read_header
from mripacs.dicom.nesting import skip_undefined
from mripacs.dicom.scan import scan
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN

SHARED_FUNCTIONAL_GROUPS = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS = 0x52009230
DERIVATION_IMAGE_SEQUENCE = 0x00089124
_DERIVATION_TAG_BYTES = b"\x08\x00\x24\x91"


def derivation_added(received: Mapping[int, Element], item: bytes) -> dict[int, Element]:
    """The functional groups with one more item in the Derivation Image macro (PS3.3 C.7.6.16.2.6); {} without groups.

    received : the data set's groups, in Explicit VR Little Endian, as their items. item : the new item, encoded. It
    goes to where the macro is already: in the shared groups or in every frame's; the shared ones if it is in neither.
    """
    shared, per_frame = received.get(SHARED_FUNCTIONAL_GROUPS), received.get(PER_FRAME_FUNCTIONAL_GROUPS)
    if per_frame and (shared is None or not shared.value or _holds_derivation(per_frame.value)):
        return {PER_FRAME_FUNCTIONAL_GROUPS: _extended(per_frame, item)}
    return {SHARED_FUNCTIONAL_GROUPS: _extended(shared, item)} if shared else {}


def _holds_derivation(items: bytes) -> bool:
    """Whether the macro is in any item; the quick look at the bytes spares most objects the slow one."""
    if _DERIVATION_TAG_BYTES not in items:
        return False
    return any(DERIVATION_IMAGE_SEQUENCE in _elements(content) for content in _item_contents(items))


def _extended(groups: Element, item: bytes) -> Element:
    return groups._replace(value=b"".join(_item_with(content, item) for content in _item_contents(groups.value)))


def _item_with(content: bytes, item: bytes) -> bytes:
    """An item of functional groups whose Derivation Image Sequence has one more item."""
    chunks = _elements(content)
    before = chunks.get(DERIVATION_IMAGE_SEQUENCE, b"")
    items = _sequence_value(before) if before else b""
    chunks[DERIVATION_IMAGE_SEQUENCE] = explicit_bytes(Element(DERIVATION_IMAGE_SEQUENCE, "SQ", items + item))
    extended = b"".join(chunks[tag] for tag in sorted(chunks))
    return header_bytes(ITEM, "", len(extended), EXPLICIT) + extended


def _elements(content: bytes) -> dict[int, bytes]:
    """The elements of an item by tag, each with its header."""
    if not content:
        return {}
    spans = scan(content, EXPLICIT_VR_LITTLE_ENDIAN).elements
    return {tag: content[span.header_start : span.end] for tag, span in spans.items()}


def _sequence_value(element: bytes) -> bytes:
    (span,) = scan(element, EXPLICIT_VR_LITTLE_ENDIAN).elements.values()
    return element[span.value_start : span.value_end]


def _item_contents(items: bytes) -> Iterator[bytes]:
    """The content of each item of a sequence's value, delimiters left out."""
    position = 0
    while position < len(items):
        _, _, length, start = read_header(items, position, len(items), EXPLICIT)
        if length == UNDEFINED_LENGTH:
            inner = skip_undefined(items, start, len(items), EXPLICIT, in_item=True)
            yield items[start : inner.value_end]
            position = inner.end
        else:
            yield items[start : start + length]
            position = start + length
