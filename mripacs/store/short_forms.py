"""Column types that store UIDs and words in fewer bytes than their text; rows give and take text.

A UID is digits and dots, so half a byte holds a character: "." is 1, the digits are 2 to 11, and a last half byte
without one is 0, which keeps the order of code points. Any other text is stored as 0xFF and its UTF-8. 51 characters,
the mean of 1945 files, take 26 bytes, in an index of PostgreSQL 32 instead of 56.
Words that most rows repeat are stored as the codes below; text that is none of them stands for itself.
Both ways are one to one: no flipped byte leaves the value that a row's digest is over as it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Dialect, LargeBinary, Text, case, type_coerce
from sqlalchemy.types import TypeDecorator, TypeEngine

_UID = re.compile(r"[0-9.]*", re.ASCII)
_CHARACTERS, _DIGITS = ".0123456789", "123456789ab"
_TO_DIGITS, _FROM_DIGITS = str.maketrans(_CHARACTERS, _DIGITS), str.maketrans(_DIGITS, _CHARACTERS)
_OTHER_TEXT = b"\xff"

# Part of the schema: what they stored can only be read with them. Codes are never given to another word.
SOP_CLASSES: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.4": "m",  # MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.1": "e",  # Enhanced MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.2": "s",  # MR Spectroscopy Storage
    "1.2.840.10008.5.1.4.1.1.4.3": "c",  # Enhanced MR Color Image Storage
    "1.2.840.10008.5.1.4.1.1.7": "o",  # Secondary Capture Image Storage
}
TRANSFER_SYNTAXES: Mapping[str, str] = {
    "1.2.840.10008.1.2": "i",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1": "e",  # Explicit VR Little Endian
    "1.2.840.10008.1.2.2": "b",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.5": "r",  # RLE Lossless
    "1.2.840.10008.1.2.4.70": "j",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": "l",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90": "k",  # JPEG 2000 Lossless
}
TIERS: Mapping[str, str] = {"kwavelet": "k", "lossless": "l", "verbatim": "v"}
CODECS: Mapping[str, str] = {"kwavelet 1": "k1", "kwavelet 2": "k2", "lossless 1": "l1"}
GENERATIONS: Mapping[str, str] = {"first loss": "f", "lossless": "l", "stable": "s"}


def pack_uid(uid: str) -> bytes:
    """The UID in half a byte a character; any other text whole."""
    if not _UID.fullmatch(uid):
        return _OTHER_TEXT + uid.encode()
    return bytes.fromhex(uid.translate(_TO_DIGITS) + "0" * (len(uid) % 2))


@lru_cache(1024)  # a study's and a series' are those of every instance
def unpack_uid(packed: bytes) -> str:
    """The text; bytes that no text is packed as give text that no UID is."""
    if packed[:1] == _OTHER_TEXT:
        text = packed[1:].decode("utf-8", "replace")
    else:
        text = packed.hex().removesuffix("0").translate(_FROM_DIGITS)
    return text if pack_uid(text) == packed else f"damaged {packed.hex()}"


class PackedUid(TypeDecorator[str]):
    """A UID as `pack_uid` stores it. Equality and order are the text's; patterns do not apply."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Text as stored."""
        return None if value is None else pack_uid(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """What is stored as text."""
        if value is None or isinstance(value, str):  # SQLite keeps text that was written past us
            return value
        return unpack_uid(bytes(value))


class Word(TypeDecorator[str]):
    """A text of which a few values are stored by their codes. Equality is the text's; order and patterns are not."""

    impl = Text
    cache_ok = True

    def __init__(self, codes: Mapping[str, str]) -> None:
        super().__init__()
        self.codes = tuple(codes.items())
        self._code_of = dict(codes)
        self._word_of = {code: word for word, code in codes.items()}

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text that compares by code points, as all other columns' does."""
        return Text(collation="C" if dialect.name == "postgresql" else None)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The word's code, if it has one."""
        return value if value is None else self._code_of.get(value, value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The code's word, if it is one."""
        return value if value is None else self._word_of.get(value, value)


def spelled(column: Column[str]) -> ColumnElement[str]:
    """The text of a Word's column in SQL, for comparisons other than equality."""
    kind = column.type
    if not isinstance(kind, Word):
        return column
    stored = type_coerce(column, Text)
    return case(*((stored == code, word) for word, code in kind.codes), else_=stored)
