"""A mapped data set written again, element by element, with some of them replaced or edited."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mripacs.core.errors import RefusedError, TranscodeError
from mripacs.dicom.encode import PIXEL_REPRESENTATION, Element, Encoder, explicit_bytes, padded_value
from mripacs.dicom.headers import EXPLICIT, Dialect
from mripacs.dicom.scan import DatasetMap, ElementSpan
from mripacs.dicom.values import int_value
from mripacs.dicom.walk import Kind, Token, walk

BITS_ALLOCATED = 0x00280100

Edit = Callable[[Token, bytes], bytes]  # (element token, its value) -> the value to write
Chunk = tuple[int, bytes]  # a top-level tag and its element's bytes


def reencode(
    dataset: bytes,
    dataset_map: DatasetMap,
    target: Dialect,
    replaced: Mapping[int, Element | None],
    edit: Edit | None = None,
) -> bytes:
    """The data set in a dialect, in ascending order of tags.

    replaced : elements to write instead of (or besides) those there, None for those to leave out. edit : called for
    every other element at any depth that is no sequence. Sequences among `replaced` need the EXPLICIT dialect.
    Group lengths, duplicates and bytes after the last element go.
    Raises TranscodeError when something nested in the data set cannot be understood.
    """
    encoder = encoder_for(dataset, dataset_map, target)
    chunks: list[Chunk] = [
        (tag, _encode_new(element, encoder)) for tag, element in replaced.items() if element is not None
    ]
    as_it_is = edit is None and dataset_map.dialect is target
    try:
        for span in dataset_map.elements.values():
            if span.tag in replaced or not span.tag & 0xFFFF:
                continue
            if as_it_is and not span.undefined_length:  # most of them; a call for each took a third of the time
                chunks.append((span.tag, dataset[span.header_start : span.end]))
            else:
                chunks.append((span.tag, encode_span(dataset, dataset_map, span, encoder, edit)))
    except RefusedError as error:
        raise TranscodeError(f"the data set cannot be written in another encoding: {error}") from error
    return b"".join(chunk for _, chunk in sorted(chunks, key=lambda chunk: chunk[0]))


def encoder_for(dataset: bytes, dataset_map: DatasetMap, target: Dialect) -> Encoder:
    """An encoder that knows what the data set's ambiguous VRs depend on."""
    signed = int_value(dataset, dataset_map, PIXEL_REPRESENTATION) == 1
    return Encoder(target, signed=signed, wide_pixels=int_value(dataset, dataset_map, BITS_ALLOCATED) != 8)


def tokens_of(dataset: bytes, dataset_map: DatasetMap, span: ElementSpan) -> Iterator[tuple[Token, bytes]]:
    """The tokens of one top-level element with the values of elements and fragments."""
    for token in walk(dataset, span.header_start, span.end, dataset_map.dialect):
        has_value = token.kind in (Kind.ELEMENT, Kind.FRAGMENT)
        yield token, dataset[token.start : token.end] if has_value else b""


def encode_span(
    dataset: bytes, dataset_map: DatasetMap, span: ElementSpan, encoder: Encoder, edit: Edit | None = None
) -> bytes:
    """One top-level element in the encoder's dialect; its own bytes where nothing changes."""
    if edit is None and dataset_map.dialect is encoder.target and _is_whole(span):
        return dataset[span.header_start : span.end]
    for token, value in tokens_of(dataset, dataset_map, span):
        encoder.write(token, edit(token, value) if edit and token.kind is Kind.ELEMENT else value)
    return encoder.take()


def _is_whole(span: ElementSpan) -> bool:
    """Whether the bytes of an element stand for themselves: not where delimiters are missing at the end."""
    return not span.undefined_length or span.end > span.value_end


def _encode_new(element: Element, encoder: Encoder) -> bytes:
    if encoder.target is EXPLICIT:
        return explicit_bytes(element)
    token = Token(Kind.ELEMENT, element.tag, element.vr, 0, 0, False, EXPLICIT)
    encoder.write(token, padded_value(element))
    return encoder.take()
