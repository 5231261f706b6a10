"""Single values out of a data set by their path, as bulk data is asked for."""

from __future__ import annotations

import re

from mripacs.core.errors import RefusedError, UnknownInstanceError
from mripacs.dicom.encode import PIXEL_REPRESENTATION, swapped
from mripacs.dicom.json_model import effective_vr
from mripacs.dicom.reencode import tokens_of
from mripacs.dicom.scan import DatasetMap
from mripacs.dicom.values import int_value
from mripacs.dicom.walk import Kind

_PATH = re.compile(r"[0-9A-Fa-f]{8}(/[1-9][0-9]{0,5}/[0-9A-Fa-f]{8}){0,32}")


def bulk_value(dataset: bytes, dataset_map: DatasetMap, path: str) -> bytes:
    """The value at a path of `json_model` ("00540016/1/00181072"), little endian; fragments joined.

    Raises UnknownInstanceError when there is no such element, or it is a sequence.
    """
    if not _PATH.fullmatch(path):
        raise UnknownInstanceError(f"{path[:64]!r} is no path of an element")
    wanted = path.upper()
    span = dataset_map.elements.get(int(wanted[:8], 16))
    if span is None:
        raise UnknownInstanceError(f"the data set has no element {wanted[:8]}")
    signed = int_value(dataset, dataset_map, PIXEL_REPRESENTATION) == 1
    here: list[str] = []  # tags and item numbers from the top down to where the walk is
    counts: list[int] = [0]  # items so far in each open sequence
    fragments: list[bytes] = []
    try:
        for token, value in tokens_of(dataset, dataset_map, span):
            tag = f"{token.tag:08X}"
            match token.kind:
                case Kind.ELEMENT if "/".join([*here, tag]) == wanted:
                    vr = effective_vr(token.tag, token.vr, signed=signed)
                    return swapped(value, vr) if token.dialect.big_endian and vr != "UN" else value
                case Kind.SEQUENCE:
                    here.append(tag)
                    counts.append(0)
                case Kind.ITEM:
                    counts[-1] += 1
                    here.append(str(counts[-1]))
                case Kind.FRAGMENT if "/".join(here) == wanted:
                    fragments.append(value)
                case Kind.ITEM_END:
                    here.pop()
                case Kind.SEQUENCE_END:
                    here.pop()
                    counts.pop()
                    if fragments:
                        return b"".join(fragments)
    except RefusedError as error:
        raise UnknownInstanceError(f"the element {wanted[:8]} cannot be understood: {error}") from error
    raise UnknownInstanceError(f"the data set has no value at {wanted}")
