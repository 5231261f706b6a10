"""UIDs and words in fewer bytes: one to one, in the text's order, and the migration's forms are the columns'."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from mripacs.store import schema, short_forms
from mripacs.store.migrate import migrations_folder
from mripacs.store.short_forms import Word, pack_uid, spelled, unpack_uid

UIDS = st.text(alphabet=".0123456789", max_size=64)


@pytest.fixture(scope="module")
def revision() -> ModuleType:
    path = migrations_folder() / "versions" / "0007_short_forms.py"
    spec = importlib.util.spec_from_file_location("revision_0007", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(st.text(max_size=70) | UIDS)
def test_any_text_comes_back(text: str) -> None:
    assert unpack_uid(pack_uid(text)) == text


@given(UIDS, UIDS)
def test_the_order_is_that_of_code_points(one: str, other: str) -> None:
    assert (pack_uid(one) < pack_uid(other)) == (one < other)


@given(st.binary(max_size=33), st.binary(max_size=33))
def test_no_two_stored_forms_are_one_text(one: bytes, other: bytes) -> None:
    assert one == other or unpack_uid(one) != unpack_uid(other)
    assert unpack_uid(pack_uid("1.2")) != unpack_uid(b"\xff1.2")


def test_half_a_byte_a_character() -> None:
    assert pack_uid("1.2.840.10008.5.1.4.1.1.4").hex() == "3141a6213222a1713161313160"
    assert len(pack_uid("2.25.329020699505680405797553779443177862528")) == 22


@given(st.text(max_size=70) | UIDS)
def test_the_migration_packs_alike(revision: ModuleType, text: str) -> None:
    assert revision._pack(text.encode()) == pack_uid(text)
    assert revision._unpack(pack_uid(text)) == text


def test_the_migration_has_the_same_words(revision: ModuleType) -> None:
    columns = {column.name: column.type for column in schema.instance.c if isinstance(column.type, Word)}
    assert {name: dict(kind.codes) for name, kind in columns.items()} == revision.CODES


@pytest.mark.parametrize("codes", ["SOP_CLASSES", "TRANSFER_SYNTAXES", "TIERS", "CODECS", "GENERATIONS"])
def test_words_and_codes_are_one_to_one(codes: str) -> None:
    table = getattr(short_forms, codes)
    kind, dialect = Word(table), sqlite.dialect()
    assert len(set(table.values())) == len(table)
    assert not set(table) & set(table.values())
    for word in [*table, "another"]:
        assert kind.process_result_value(kind.process_bind_param(word, dialect), dialect) == word


def test_a_word_is_spelled_in_sql() -> None:
    sql = str(select(spelled(schema.instance.c.tier)).compile(compile_kwargs={"literal_binds": True}))
    assert "WHEN (instance.tier = 'k') THEN 'kwavelet'" in sql
    assert sql.count("WHEN") == 3
