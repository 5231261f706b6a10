"""The walk over a data set's plain elements, compiled: 5 us for 400 elements where Python takes 330, without the GIL.

It goes as far as everything is in order, and leaves what is not to `scan`, which knows what to say of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.core.jit import compiled, inlined, wide
from mripacs.dicom.headers import FORMS, ITEM, ITEM_END, ITEM_GROUP, SEQUENCE_END, UNDEFINED_LENGTH
from mripacs.dicom.spans import Rows

IMPLICIT, EXPLICIT, BIG_ENDIAN = 0, 1, 2  # the dialects of `headers`
FIRST_ROWS = 512  # nine of ten real headers have fewer elements
MAX_DEPTH = 32  # of items and sequences; Python's stack takes what is deeper
_SHORT, _LONG = 1, 2
_NO_HEADER = (-1, 0, 0, 0)
_PIXEL_GROUP = 0x7FE0
_UN = int.from_bytes(b"UN", "little")

_FORM = np.zeros(2**16, np.uint8)  # by a VR's two bytes, little endian
for _vr, (_, _is_long) in FORMS.items():
    _FORM[int.from_bytes(_vr, "little")] = _LONG if _is_long else _SHORT


@inlined
def _number(data: NDArray[np.uint8], position: int, size: int, dialect: int) -> int:
    value = 0
    for index in range(size):
        place = index if dialect == BIG_ENDIAN else size - 1 - index
        value = value << 8 | wide(data[position + place])
    return value


@compiled
def _header(data: NDArray[np.uint8], position: int, end: int, dialect: int) -> tuple[int, int, int, int]:
    """Tag, VR (0 for none), length and start of the value, as `headers.read_header`; tag -1 where that must look."""
    if end - position < 8:
        return _NO_HEADER
    group = _number(data, position, 2, dialect)
    tag = group << 16 | _number(data, position + 2, 2, dialect)
    if dialect == IMPLICIT or group == ITEM_GROUP:
        return tag, 0, _number(data, position + 4, 4, dialect), position + 8
    vr = wide(data[position + 4]) | wide(data[position + 5]) << 8
    if _FORM[vr] == _SHORT:
        return tag, vr, _number(data, position + 6, 2, dialect), position + 8
    if _FORM[vr] == _LONG and end - position >= 12:
        return tag, vr, _number(data, position + 8, 4, dialect), position + 12
    return _NO_HEADER


@inlined
def _is_letter(code: int) -> bool:
    return 0x20 <= code <= 0x7E


@inlined
def _item_dialect(data: NDArray[np.uint8], position: int, end: int, dialect: int) -> int:
    """As `headers.item_dialect`."""
    if dialect == IMPLICIT or end - position < 8 or _number(data, position, 2, dialect) == ITEM_GROUP:
        return dialect
    if (_is_letter(data[position + 4]) and _is_letter(data[position + 5])) or dialect == BIG_ENDIAN:
        return dialect
    return IMPLICIT


@compiled
def _skip_undefined(
    data: NDArray[np.uint8], position: int, dialect: int, most_headers: int
) -> tuple[int, int, int, int]:
    """Value's end, end, depth and headers of a value of undefined length, as `nesting.skip_undefined`; end -1 where
    that must look.
    """
    nothing, end = (0, -1, 0, 0), data.size
    in_item = np.zeros(MAX_DEPTH, np.bool_)
    dialects = np.zeros(MAX_DEPTH, np.int64)
    dialects[0] = dialect
    level, deepest, headers = 0, 1, 0
    while position < end and headers < most_headers:
        tag, vr, length, start = _header(data, position, end, dialects[level])
        if tag < 0:
            return nothing
        is_item_group = tag >> 16 == ITEM_GROUP
        if in_item[level] and not is_item_group and length != UNDEFINED_LENGTH and length <= end - start:
            position = start + length  # plain: not counted, there either
            continue
        headers += 1
        if tag == SEQUENCE_END or (in_item[level] and tag == ITEM_END):
            level -= 2 if in_item[level] and tag == SEQUENCE_END else 1
            if level < 0:
                return position, start, (deepest + 1) // 2, headers
            position = start
        elif in_item[level] == is_item_group or (not in_item[level] and tag != ITEM):
            return nothing
        elif length == UNDEFINED_LENGTH:
            if level + 1 == MAX_DEPTH:
                return nothing
            outer = dialects[level]
            if in_item[level]:
                dialects[level + 1] = IMPLICIT if vr == _UN else outer
            else:
                dialects[level + 1] = _item_dialect(data, start, end, outer)
            in_item[level + 1] = not in_item[level]
            level += 1
            deepest = max(deepest, level + 1)
            position = start
        elif length > end - start:
            return nothing
        else:
            position = start + length
    return nothing


@compiled
def walk(data: NDArray[np.uint8], dialect: int, most: int, most_nested: int) -> tuple[Rows, int, int, int]:
    """Rows of the first elements, `most` at most with `most_nested` headers in sequences, as far as nothing needs
    Python's look; where that is, the deepest nesting and the headers in sequences.

    data : read-only and contiguous. dialect : IMPLICIT, EXPLICIT or BIG_ENDIAN.
    """
    rows = np.empty((min(most, FIRST_ROWS), 7), np.int64)
    count, position, depth, nested = 0, 0, 0, 0
    while data.size - position >= 12 and count < most:
        tag, vr, length, start = _header(data, position, data.size, dialect)
        group = tag >> 16
        if tag < 0 or group in (0x0000, 0x0002, ITEM_GROUP, 0xFFFF, _PIXEL_GROUP):
            break
        value_end = end = start + length
        if length == UNDEFINED_LENGTH:
            value_end, end, levels, headers = _skip_undefined(
                data, start, IMPLICIT if vr == _UN else dialect, most_nested - nested
            )
            if end < 0:
                break
            depth, nested = max(depth, levels), nested + headers
        elif end > data.size:
            break
        if count == rows.shape[0]:
            rows = np.concatenate((rows, np.empty_like(rows)))
        rows[count, 0], rows[count, 1], rows[count, 2], rows[count, 3] = tag, vr, start, value_end
        rows[count, 4], rows[count, 5], rows[count, 6] = length == UNDEFINED_LENGTH, position, end
        count, position = count + 1, end
    return rows[:count], position, depth, nested
