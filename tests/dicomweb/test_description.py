"""Requests made up from our own OpenAPI description: none is answered with 5xx, each as the description says."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, not_a_server_error

from tests.dicomweb.conftest import ROOT
from tests.dicomweb.multipart import related


@schemathesis.serializer("application/dicom", "multipart/related")
def as_bytes(_, value):
    return str(value).encode()


UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize("examples", [4, pytest.param(150, marks=pytest.mark.slow)])
def test_requests_made_up_from_the_description(door, examples):
    for found in schemathesis.openapi.from_url(f"{door}/openapi.json").get_all_operations():
        operation = found.ok()

        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=UNHURRIED)
        @given(case=operation.as_strategy())
        def ask(case):
            check(case)

        ask()


def check(case):
    answer = case.call()
    case.validate_response(answer, checks=[not_a_server_error, CHECKS.get_one("status_code_conformance")])


HEADERS = st.dictionaries(
    st.sampled_from(["Accept", "Range", "If-None-Match", "Accept-Encoding", "Authorization", "Content-Type", "Origin"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    max_size=4,
)
PATHS = st.sampled_from(["/studies", "/series", "/instances", "/wado", "/openapi.json", "", "/studies/1.2.3/metadata"])
QUERIES = st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=UNHURRIED)
@given(path=PATHS, query=QUERIES, headers=HEADERS)
def test_odd_headers_and_queries(client, path, query, headers):
    assert client.get(ROOT + path, params=query, headers=headers).status_code < 500


@settings(max_examples=60, deadline=None, suppress_health_check=UNHURRIED)
@given(body=st.binary(max_size=400), cut=st.integers(0, 60), headers=HEADERS)
def test_odd_bodies(empty, body, cut, headers):
    whole = b"--limit\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--limit--"
    answer = empty.post(f"{ROOT}/studies", content=whole[: len(whole) - cut], headers=headers | related())
    assert 400 <= answer.status_code < 500


@settings(max_examples=60, deadline=None, suppress_health_check=UNHURRIED)
@given(
    model=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["00080018", "00100010", "vr", "Value", "SQ", "InlineBinary", "x"]), inner
            )
        ),
        max_leaves=8,
    )
)
def test_odd_models(empty, model):
    body = b"--limit\r\nContent-Type: application/dicom+json\r\n\r\n" + json.dumps(model).encode() + b"\r\n--limit--"
    answer = empty.post(f"{ROOT}/studies", content=body, headers=related("application/dicom+json"))
    assert 400 <= answer.status_code < 500
