"""A mapped data set written again, element by element, with some of them replaced or edited."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from mripacs.core.errors import RefusedError, TranscodeError
from mripacs.dicom.encode import PIXEL_REPRESENTATION, Element, Encoder, explicit_bytes, padded_value
from mripacs.dicom.headers import EXPLICIT, Dialect
from mripacs.dicom.scan import DatasetMap
from mripacs.dicom.spans import ElementSpan, Spans
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
    try:
        if edit is None and dataset_map.dialect is target and _is_seamless(dataset_map):
            chunks += _between(dataset, dataset_map, replaced)
        elif edit is None and dataset_map.dialect is target and _ascend(dataset_map):
            spans = dataset_map.elements.values()
            runs = _runs((span for span in spans if span.tag not in replaced and span.tag & 0xFFFF), replaced)
            chunks += (_copied(dataset, dataset_map, run, encoder) for run in runs)
        else:
            for span in dataset_map.elements.values():
                if span.tag not in replaced and span.tag & 0xFFFF:
                    chunks.append((span.tag, encode_span(dataset, dataset_map, span, encoder, edit)))
    except RefusedError as error:
        raise TranscodeError(f"the data set cannot be written in another encoding: {error}") from error
    return b"".join(chunk for _, chunk in sorted(chunks, key=lambda chunk: chunk[0]))


def _is_seamless(dataset_map: DatasetMap) -> bool:
    return isinstance(dataset_map.elements, Spans) and dataset_map.elements.seamless()


def _between(dataset: bytes, dataset_map: DatasetMap, replaced: Iterable[int]) -> Iterator[Chunk]:
    """What stays of a seamless data set, in pieces between what goes and what is put in; 0.05 ms for 400 elements."""
    elements, tags = dataset_map.elements, list(dataset_map.elements)
    first = 0
    for cut in sorted({*replaced, *(tag for tag in tags if not tag & 0xFFFF), tags[-1] + 1}):
        end = bisect_left(tags, cut, first)
        if end > first:
            yield tags[first], dataset[elements[tags[first]].header_start : elements[tags[end - 1]].end]
        first = end + (end < len(tags) and tags[end] == cut)


def _ascend(dataset_map: DatasetMap) -> bool:
    """Whether the elements lie in the order of their tags, as they should (PS3.5 7.1)."""
    tags = list(dataset_map.elements)
    return tags == sorted(tags)


def _runs(spans: Iterable[ElementSpan], replaced: Iterable[int]) -> Iterator[list[ElementSpan]]:
    """Neighbours that are copied as one piece; between two pieces something goes, or is put in.

    One slice for some hundred elements: writing a header element by element took a fifth of a retrieval.
    """
    new = deque(sorted(replaced))
    run: list[ElementSpan] = []
    for span in spans:
        put_in = bool(new) and new[0] < span.tag
        while new and new[0] < span.tag:
            new.popleft()
        if run and (put_in or span.header_start != run[-1].end or not (span.is_whole and run[-1].is_whole)):
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _copied(dataset: bytes, dataset_map: DatasetMap, run: list[ElementSpan], encoder: Encoder) -> Chunk:
    if run[0].is_whole:
        return run[0].tag, dataset[run[0].header_start : run[-1].end]
    return run[0].tag, encode_span(dataset, dataset_map, run[0], encoder)


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
    if edit is None and dataset_map.dialect is encoder.target and span.is_whole:
        return dataset[span.header_start : span.end]
    for token, value in tokens_of(dataset, dataset_map, span):
        encoder.write(token, edit(token, value) if edit and token.kind is Kind.ELEMENT else value)
    return encoder.take()


def _encode_new(element: Element, encoder: Encoder) -> bytes:
    if encoder.target is EXPLICIT:
        return explicit_bytes(element)
    token = Token(Kind.ELEMENT, element.tag, element.vr, 0, 0, False, EXPLICIT)
    encoder.write(token, padded_value(element))
    return encoder.take()
