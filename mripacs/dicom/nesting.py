"""Where a value of undefined length ends, however deep it is nested; a stack instead of recursion, linear time."""

from __future__ import annotations

from typing import NamedTuple

from mripacs.core.errors import NotDicomError, ObjectTooLargeError, TruncatedDatasetError
from mripacs.dicom.headers import (
    IMPLICIT,
    ITEM,
    ITEM_END,
    ITEM_GROUP,
    SEQUENCE_END,
    UNDEFINED_LENGTH,
    Buffer,
    Dialect,
    item_dialect,
    read_header,
    skip_plain,
    tag_text,
)

# Items and elements in the sequences of one data set. The largest real ones, of 10 000 frames, have 3 million; each
# takes 1.3 us, and a deflated megabyte can hold a hundred million.
MAX_NESTED = 10_000_000


class ValueEnd(NamedTuple):
    """Where a value of undefined length ends: before its delimiter, after it, and how deep it was nested."""

    value_end: int
    end: int
    depth: int
    delimited: bool  # False when the bytes ended before the delimiter did
    headers: int  # of items, elements and delimiters that were read on the way


def content_dialect(vr: str | None, dialect: Dialect) -> Dialect:
    """The dialect inside a sequence: UN of undefined length holds implicit little endian (PS3.5 6.2.2 note 4)."""
    return IMPLICIT if vr == "UN" else dialect


def skip_undefined(buffer: Buffer, position: int, end: int, dialect: Dialect, *, in_item: bool = False) -> ValueEnd:
    """The end of the sequence, list of fragments or (`in_item`) item of undefined length with its value at `position`.

    Items of defined length are jumped over. Delimiters that are missing at `end` are taken as there.
    Raises TruncatedDatasetError when `end` lies inside an item or element, NotDicomError for anything but items,
    ObjectTooLargeError for more than MAX_NESTED headers.
    """
    stack = [(in_item, dialect)]  # (inside an item?, dialect), innermost last
    depth, headers = 1, 0
    while position < end:
        inside_item, current = stack[-1]
        if inside_item and (position := skip_plain(buffer, position, end, current)) >= end:
            break
        tag, vr, length, start = read_header(buffer, position, end, current)
        headers += 1
        if headers > MAX_NESTED:
            raise ObjectTooLargeError(f"sequences hold more than {MAX_NESTED} items and elements")
        if tag == SEQUENCE_END or (inside_item and tag == ITEM_END):
            if inside_item and tag == SEQUENCE_END:  # the item's own delimiter was left out
                stack.pop()
            stack.pop()
            if not stack:
                return ValueEnd(position, start, (depth + 1) // 2, True, headers)
            position = start
        elif length == UNDEFINED_LENGTH:
            _check_place(tag, inside_item, position)
            inner = content_dialect(vr, current) if inside_item else item_dialect(buffer, start, end, current)
            stack.append((not inside_item, inner))
            depth = max(depth, len(stack))
            position = start
        else:
            _check_place(tag, inside_item, position)
            position = _jump(tag, start, length, end)
    return ValueEnd(end, end, (depth + 1) // 2, False, headers)


def _check_place(tag: int, inside_item: bool, position: int) -> None:
    if inside_item == (tag >> 16 == ITEM_GROUP) or (not inside_item and tag != ITEM):
        place = "inside an item" if inside_item else "where a sequence item should start"
        raise NotDicomError(f"{tag_text(tag)} stands {place} at offset {position}")


def _jump(tag: int, start: int, length: int, end: int) -> int:
    if length > end - start:
        raise TruncatedDatasetError(f"the data set ends inside {tag_text(tag)} at offset {start}")
    return start + length
