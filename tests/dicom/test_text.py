"""Character sets: what pydicom decodes, and what it would only warn about or refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from mripacs.dicom.text import clean, decode_text, encodings_of

REPLACED = "\ufffd"

CASES = [
    (b"", b"Doe^Jane", "Doe^Jane"),
    (b"ISO_IR 6", b"Doe^Jane", "Doe^Jane"),
    (b"ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
    (b"ISO_IR 101", "Dvořák".encode("iso8859_2"), "Dvořák"),
    (b"ISO_IR 144", "Ильич".encode("iso8859_5"), "Ильич"),
    (b"ISO_IR 192", "王^小東=Wang^XiaoDong".encode(), "王^小東=Wang^XiaoDong"),
    (b"GB18030", "王^小东".encode("gb18030"), "王^小东"),
    (b"GBK", "王^小东".encode("gbk"), "王^小东"),
    (b"ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ".encode("shift_jis"), "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    # PS3.5 H.3.1 and I.2: kanji and Korean names with code extensions
    (
        b"\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        b"\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
]


@pytest.mark.parametrize(("character_set", "value", "text"), CASES)
def test_text_is_what_the_standard_shows(character_set: bytes, value: bytes, text: str) -> None:
    assert decode_text(value, encodings_of(character_set)) == text


@pytest.mark.parametrize(("character_set", "value", "text"), CASES)
def test_text_is_pydicoms(character_set: bytes, value: bytes, text: str) -> None:
    encodings = convert_encodings(character_set.decode().split("\\"))
    assert decode_bytes(value, encodings, PN_DELIMS | TEXT_VR_DELIMS) == decode_text(value, encodings_of(character_set))


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        (b"ISO_IR 192", b"M\xfcller", f"M{REPLACED}ller"),  # Latin-1 declared as UTF-8
        (b"GB18030", b"abc\xff", f"abc{REPLACED}"),
        (b"ISO IR 100", b"M\xfcller", "Müller"),  # misspelt
        (b"ISO_IR_192", "Müller".encode(), "Müller"),
        (b"ISO-2022-IR-100", b"M\xfcller", "Müller"),
        (b"NO SUCH SET", b"M\xfcller", "Müller"),
        (b"UTF-8\\\\\\", b"M\xfcller", "Müller"),  # Python's name is no term
        (b"\xff\xfe", b"abc", "abc"),
        (b"ISO_IR 192\\ISO 2022 IR 87", "é".encode(), "é"),  # stands alone: the rest is ignored
        (b"ISO 2022 IR 6\\ISO_IR 192", b"M\xfcller", "Müller"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3E", f"山{REPLACED}"),  # cut in the middle of a character
        (b"", b"\x1b$B;3ED\x1b(B", ";3ED"),  # an escape sequence that the data set does not announce
        (b"", b"abc\x1b", "abc"),
    ],
)
def test_text_that_does_not_conform_is_replaced(character_set: bytes, value: bytes, text: str) -> None:
    assert decode_text(value, encodings_of(character_set)) == text


@given(character_set=st.sampled_from([case[0] for case in CASES]), value=st.binary(max_size=60))
def test_any_bytes_become_text_that_databases_take(character_set: bytes, value: bytes) -> None:
    text = clean(decode_text(value, encodings_of(character_set)))
    assert "\0" not in text
    assert text.encode("utf-8").decode("utf-8") == text


@given(st.binary(max_size=40))
def test_any_character_set_has_an_encoding(declared: bytes) -> None:
    assert decode_text(b"abc", encodings_of(declared)) == "abc"
