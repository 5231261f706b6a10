"""Bytes of text values to str by Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1), without exceptions or warnings.

pydicom's tables name the encodings; its decoder is not used because it warns about what we merely replace.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, default_encoding, python_encoding

_FRAGMENT = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_MISSPELT = re.compile(r"ISO[ _-]?(?:(IR)|2022[ _-]?IR)[ _-]?(\d+)", re.IGNORECASE)
_STATEFUL = frozenset({"iso2022_jp", "iso2022_jp_2", "iso_ir_58"})  # Python reads their escape sequences itself
_RESETS = re.compile(rb"[\\^=\r\n\t\f]")  # delimiters that go back to the first character set (PS3.5 6.1.2.5.3)

Encodings = tuple[str, ...]
DEFAULT_ENCODINGS: Encodings = (default_encoding,)


@lru_cache(256)
def encodings_of(character_set: bytes) -> Encodings:
    """Python's codecs for the value of Specific Character Set (0008,0005); never empty; unknown terms are Latin-1."""
    terms = [term.strip(" \0") for term in character_set.decode("latin-1").split("\\")]
    encodings = [_encoding(term) for term in terms]
    if terms[0] in STAND_ALONE_ENCODINGS:
        return (encodings[0],)
    alone = {python_encoding[term] for term in STAND_ALONE_ENCODINGS}
    return (encodings[0], *(encoding for encoding in encodings[1:] if encoding not in alone))


def _encoding(term: str) -> str:
    spelt = _MISSPELT.fullmatch(term)
    corrected = f"{'ISO_IR' if spelt[1] else 'ISO 2022 IR'} {spelt[2]}" if spelt else term
    return python_encoding.get(corrected, default_encoding)


def decode_text(value: bytes, encodings: Encodings = DEFAULT_ENCODINGS) -> str:
    """The text of a value, code extensions followed; what cannot be decoded becomes U+FFFD.

    Padding (spaces, NULs) stays: PS3.5 6.2 lets each VR say which of it counts. NULs inside become U+FFFD, because
    databases refuse them.
    """
    if b"\x1b" not in value:
        return _decode(value, encodings[0])
    return "".join(_decode_fragment(fragment, encodings) for fragment in _FRAGMENT.findall(value))


def _decode_fragment(fragment: bytes, encodings: Encodings) -> str:
    """One run of bytes up to the next escape sequence, the escape sequence in front."""
    if not fragment.startswith(b"\x1b"):
        return _decode(fragment, encodings[0])
    length = 4 if fragment.startswith((b"\x1b$(", b"\x1b$)")) else 3
    encoding = CODES_TO_ENCODINGS.get(fragment[:length], "")
    if encoding != default_encoding and encoding not in encodings:
        return _decode(fragment[length:], encodings[0])
    if encoding in _STATEFUL:
        return _decode(fragment, encoding)
    text = fragment[length:]
    reset = _RESETS.search(text)
    switch = reset.start() if reset else len(text)
    return _decode(text[:switch], encoding) + _decode(text[switch:], encodings[0])


def _decode(value: bytes, encoding: str) -> str:
    return codecs.decode(value, encoding, "replace")


def clean(text: str) -> str:
    """Text that any database takes: NULs and lone surrogates become U+FFFD."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
