"""What policy rules may look at, read from the header without touching a pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from mripacs.core.errors import RefusedError
from mripacs.core.model import IndexAttributes, PolicyFacts
from mripacs.dicom.dictionary import keyword_of
from mripacs.dicom.functional_groups import PER_FRAME_FUNCTIONAL_GROUPS, SHARED_FUNCTIONAL_GROUPS
from mripacs.dicom.headers import Buffer
from mripacs.dicom.scan import DatasetMap
from mripacs.dicom.spans import filled
from mripacs.dicom.text import decode_text
from mripacs.dicom.values import int_value, text_value, upper_values
from mripacs.dicom.walk import Kind, Token, walk

FRAME_TYPE = 0x00089007
COMPLEX_IMAGE_COMPONENT = 0x00089208
REAL_WORLD_VALUE_MAPPING = 0x00409096
PIXEL_PADDING_VALUE = 0x00280120
OVERLAY_BIT_POSITION = 0x60000102  # of the first of 16 planes
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)  # Float and Double Float Pixel Data

_FRAME_TYPE_TAGS = (FRAME_TYPE, COMPLEX_IMAGE_COMPONENT)
_REPEATING = 0xFF01FFFF  # what tags of all planes have in common
_MOST_KNOWN = 1000  # elements of a header whose keywords are remembered: 64 times 100 KB at most
_MOST_TOKENS = 5_000  # of one item of functional groups; the largest of the known real ones has 300


def policy_facts(
    dataset: Buffer, dataset_map: DatasetMap, transfer_syntax: str, attributes: IndexAttributes, calling_ae: str
) -> PolicyFacts:
    """The facts of a data set that `scan` mapped and `index_attributes` read. Never raises for what it holds.

    `present` holds keywords of top-level elements with a value and these derived words: OverlayInPixelData (an overlay
    whose bit lies in the pixels' words, PS3.3 C.9.2), RealWorldValueMapping (top level, shared or first frame's
    functional groups), PixelPaddingInUse (Pixel Padding Value is there and not 0), FloatPixelData (float or double).
    """
    del transfer_syntax  # the map knows how its elements are encoded
    tokens = tuple(_functional_group_tokens(dataset, dataset_map))
    tags = filled(dataset_map.elements)
    keywords = (_known_keywords if len(tags) <= _MOST_KNOWN else _keywords)(tuple(tags))
    frame_types = tuple(_token_text(dataset, token) for token in tokens if token.tag in _FRAME_TYPE_TAGS)
    component = text_value(dataset, dataset_map, COMPLEX_IMAGE_COMPONENT)
    image_type = upper_values((str(attributes.instance.get("ImageType", "")), component, *frame_types))
    return PolicyFacts(
        sop_class_uid=str(attributes.instance.get("SOPClassUID", "")),
        modality=str(attributes.series.get("Modality", "")),
        image_type=tuple(dict.fromkeys(image_type)),
        series_description=str(attributes.series.get("SeriesDescription", "")),
        manufacturer=str(attributes.series.get("Manufacturer", "")),
        calling_ae=calling_ae,
        bits_allocated=_int(attributes, "BitsAllocated"),
        bits_stored=_int(attributes, "BitsStored"),
        samples_per_pixel=_int(attributes, "SamplesPerPixel"),
        signed=attributes.instance.get("PixelRepresentation") == 1,
        present=keywords.union(_derived_words(dataset, dataset_map, tags, tokens)),
    )


def _int(attributes: IndexAttributes, keyword: str) -> int | None:
    value = attributes.instance.get(keyword)
    return value if isinstance(value, int) else None


def _keywords(tags: tuple[int, ...]) -> frozenset[str]:
    return frozenset(keyword for tag in tags if (keyword := keyword_of(tag)))


_known_keywords = lru_cache(64)(_keywords)  # images of a series have values in the same elements


def _derived_words(
    dataset: Buffer, dataset_map: DatasetMap, tags: Iterable[int], tokens: tuple[Token, ...]
) -> Iterator[str]:
    overlays = [tag for tag in tags if tag & _REPEATING == OVERLAY_BIT_POSITION]
    if any(int_value(dataset, dataset_map, tag) for tag in overlays):  # it lies in a bit of the pixels (PS3.3 C.9.2)
        yield "OverlayInPixelData"
    if REAL_WORLD_VALUE_MAPPING in dataset_map.elements or any(each.tag == REAL_WORLD_VALUE_MAPPING for each in tokens):
        yield "RealWorldValueMapping"
    padding = dataset_map.elements.get(PIXEL_PADDING_VALUE)
    if padding and any(dataset[padding.value_start : padding.value_end]):
        yield "PixelPaddingInUse"
    if any(tag in dataset_map.elements for tag in FLOAT_PIXEL_DATA):
        yield "FloatPixelData"


def _functional_group_tokens(dataset: Buffer, dataset_map: DatasetMap) -> Iterator[Token]:
    """Elements of the shared and the first frame's functional groups; damaged ones end the look without error."""
    for tag in (SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS):
        span = dataset_map.elements.get(tag)
        if span is None:
            continue
        depth = 0
        try:
            for token in islice(walk(dataset, span.header_start, span.end, dataset_map.dialect), _MOST_TOKENS):
                depth += (token.kind is Kind.ITEM) - (token.kind is Kind.ITEM_END)
                if token.kind is Kind.ITEM_END and depth == 0:
                    break
                yield token
        except RefusedError:
            continue


def _token_text(dataset: Buffer, token: Token) -> str:
    return decode_text(bytes(dataset[token.start : token.end])) if token.kind is Kind.ELEMENT else ""
