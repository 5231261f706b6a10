"""All elements of a data set at every depth, as tokens, without recursion."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from mripacs.core.errors import NotDicomError, TruncatedDatasetError
from mripacs.dicom.dictionary import vr_of_tag
from mripacs.dicom.headers import (
    ITEM,
    ITEM_END,
    ITEM_GROUP,
    SEQUENCE_END,
    UNDEFINED_LENGTH,
    Buffer,
    Dialect,
    item_dialect,
    read_header,
    tag_text,
)
from mripacs.dicom.nesting import content_dialect


class Kind(Enum):
    """What a token stands for."""

    ELEMENT = auto()  # an element that is no sequence
    SEQUENCE = auto()  # a sequence begins
    SEQUENCE_END = auto()
    ITEM = auto()  # an item of the sequence begins
    ITEM_END = auto()
    FRAGMENT = auto()  # an item that holds bytes: its element is no sequence


class Token(NamedTuple):
    """One step of the walk. `start` and `end` bound the value of an element or fragment."""

    kind: Kind
    tag: int
    vr: str | None  # as written; None in implicit VR
    start: int
    end: int
    undefined_length: bool  # of the sequence or item, as written
    dialect: Dialect  # in which the value is encoded


class _Open(NamedTuple):
    """A sequence or item that is being walked."""

    is_item: bool
    tag: int
    vr: str | None
    end: int  # of the value, or of the enclosing value for undefined length
    undefined_length: bool
    dialect: Dialect
    fragments: bool


def walk(buffer: Buffer, start: int, end: int, dialect: Dialect, *, in_sequence: bool = False) -> Iterator[Token]:
    """Tokens of the elements in buffer[start:end], or of the items there if they are a sequence's value.

    Sequences of defined length are entered when their VR, written or in PS3.6, is SQ; those of undefined length always.
    Delimiters missing at `end` are made up. Raises TruncatedDatasetError and NotDicomError as `scan` does.
    """
    stack = [_Open(not in_sequence, 0, None, end, False, dialect, False)]
    position = start
    while True:
        top = stack[-1]
        if position >= top.end:
            if len(stack) == 1:
                return
            yield _close(stack.pop())
            continue
        tag, vr, length, value = read_header(buffer, position, top.end, top.dialect)
        if tag in (ITEM_END, SEQUENCE_END):
            yield from _close_until(stack, tag, position)
            position = value
            continue
        _check_place(top, tag, length, position)
        token, opened = _open(buffer, top, tag, vr, length, value)
        yield token
        position = value if opened else token.end
        if opened:
            stack.append(opened)


def _open(buffer: Buffer, top: _Open, tag: int, vr: str | None, length: int, start: int) -> tuple[Token, _Open | None]:
    """The token for the header just read and, unless it is a leaf, the state inside it."""
    undefined = length == UNDEFINED_LENGTH
    end = top.end if undefined else start + length
    if end > top.end:
        raise TruncatedDatasetError(f"{tag_text(tag)} at offset {start} is longer than what holds it")
    if tag == ITEM and not top.fragments:
        inner = item_dialect(buffer, start, end, top.dialect)
        return Token(Kind.ITEM, tag, None, start, end, undefined, inner), _Open(
            True, tag, None, end, undefined, inner, False
        )
    if tag == ITEM:
        return Token(Kind.FRAGMENT, tag, None, start, end, False, top.dialect), None
    meant = vr or vr_of_tag(tag)
    fragments = undefined and meant in ("OB", "OW", "OB or OW")
    if undefined or meant == "SQ":
        inner = content_dialect(vr, top.dialect)
        opened = _Open(False, tag, vr, end, undefined, inner, fragments)
        return Token(Kind.SEQUENCE, tag, vr, start, end, undefined, inner), opened
    return Token(Kind.ELEMENT, tag, vr, start, end, False, top.dialect), None


def _close(closed: _Open) -> Token:
    kind = Kind.ITEM_END if closed.is_item else Kind.SEQUENCE_END
    return Token(kind, closed.tag, closed.vr, closed.end, closed.end, closed.undefined_length, closed.dialect)


def _close_until(stack: list[_Open], tag: int, position: int) -> Iterator[Token]:
    """Close what a delimiter ends: a sequence delimiter also closes an item whose own was left out."""
    if tag == SEQUENCE_END and stack[-1].is_item and len(stack) > 1:
        yield _close(stack.pop())
    if len(stack) == 1 or not stack[-1].undefined_length or stack[-1].is_item != (tag == ITEM_END):
        raise NotDicomError(f"the delimiter {tag_text(tag)} at offset {position} ends nothing")
    yield _close(stack.pop())


def _check_place(top: _Open, tag: int, length: int, position: int) -> None:
    if top.is_item == (tag >> 16 == ITEM_GROUP) or (not top.is_item and tag != ITEM):
        raise NotDicomError(f"{tag_text(tag)} at offset {position} stands where it cannot")
    if top.fragments and length == UNDEFINED_LENGTH:
        raise NotDicomError(f"a fragment without a length at offset {position}")
