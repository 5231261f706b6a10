"""Forms in which values are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mripacs.store.match_forms import (
    date_form,
    difference,
    earliest_time,
    latest_time,
    name_forms,
    number_form,
    patient_key,
    text_form,
    time_form,
)


@pytest.mark.parametrize(
    ("value", "stored", "earliest", "latest"),
    [
        ("10", "100000.000000", "10", "105959.999999"),
        ("1030", "103000.000000", "1030", "103059.999999"),
        ("103000", "103000.000000", "1030", "103000.999999"),
        ("000000", "000000.000000", "00", "000000.999999"),
        ("103015.5", "103015.500000", "103015.5", "103015.599999"),
        ("100000.000000", "100000.000000", "10", "100000.000000"),
        ("10:30:15", "103015.000000", "103015", "103015.999999"),
        ("1", None, None, None),
        ("", None, None, None),
        ("noon", None, None, None),
        ("103015.1234567", None, None, None),
    ],
)
def test_times(value: str, stored: str | None, earliest: str | None, latest: str | None) -> None:
    assert (time_form(value), earliest_time(value), latest_time(value)) == (stored, earliest, latest)


@given(st.times(), st.integers(0, 3), st.integers(0, 6))
def test_a_time_lies_within_itself_at_any_precision(time, pairs: int, digits: int) -> None:
    whole = time.strftime("%H%M%S.%f")
    given_text = whole[: 2 * pairs] if pairs < 3 else whole[: 7 + digits].rstrip(".")
    if pairs:
        assert earliest_time(given_text) <= given_text <= latest_time(given_text)
        assert earliest_time(given_text) <= whole <= latest_time(given_text)


@pytest.mark.parametrize(
    ("value", "form"),
    [("20200229", "20200229"), ("2020.02.29", "20200229"), ("2020", None), ("2020022x", None), (None, None)],
)
def test_dates(value: str | None, form: str | None) -> None:
    assert date_form(value) == form


@pytest.mark.parametrize(
    ("value", "form"), [("007", 7), (5, 5), (" -3 ", -3), ("1.5", None), (None, None), (2**64, None)]
)
def test_numbers(value: str | int | None, form: int | None) -> None:
    assert number_form(value) == form


@pytest.mark.parametrize(
    ("value", "forms"),
    [
        ("Doe^John^^^", ("doe^john", None, None)),
        ("STRAßE^É", ("strasse^é", None, None)),
        ("A=Ж=Я=extra", ("a", "ж", "я")),
        ("", (None, None, None)),
    ],
)
def test_names(value: str, forms: tuple[str | None, ...]) -> None:
    assert name_forms(value) == forms


def test_text_is_cut_to_what_an_index_takes() -> None:
    assert len(text_form("𝄞" * 10_000).encode()) < 2704


def test_patients() -> None:
    one = {"PatientID": "1", "PatientName": "A"}
    assert patient_key(one) == patient_key({**one, "PatientName": "B"})
    assert patient_key(one) != patient_key({**one, "IssuerOfPatientID": "X"})
    nameless = {"PatientID": " ", "PatientName": "A^B", "PatientBirthDate": "19700101"}
    assert patient_key(nameless) == patient_key({"PatientName": "a^b^", "PatientBirthDate": "1970.01.01"})
    assert patient_key(nameless) != patient_key({"PatientName": "a^b"})


@given(*[st.dictionaries(st.sampled_from("ABCD"), st.integers(1, 3) | st.sampled_from(["x", "y"]))] * 2)
def test_a_difference_restores_the_attributes(attributes: dict[str, str | int], common: dict[str, str | int]) -> None:
    merged = {**common, **difference(attributes, common)}
    assert {keyword: value for keyword, value in merged.items() if value != ""} == attributes
