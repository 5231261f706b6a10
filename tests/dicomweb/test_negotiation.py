"""What a client refuses by q=0 (RFC 9110 12.4.2, 12.5.1): the most specific range that covers a type speaks for it."""

from __future__ import annotations

import contextlib
import time

import pytest

from mripacs.dicomweb.bodies import JSON_TYPES, XML
from mripacs.dicomweb.media import OCTETS, Form, pick
from mripacs.dicomweb.negotiation import MAX_ACCEPT_BYTES, choose, parse_accept
from mripacs.dicomweb.problems import RequestError
from tests.dicomweb.conftest import ROOT

PICTURES = ("image/jpeg", "image/png", "image/gif")
EXPLICIT, LS, NEAR_LS = (f"1.2.840.10008.1.2{suffix}" for suffix in (".1", ".4.80", ".4.81"))
FORMS = [Form(OCTETS, EXPLICIT), Form("image/jls", LS), Form("image/jls", NEAR_LS)]


@pytest.mark.parametrize(
    ("header", "offered", "chosen"),
    [
        ("*/*", PICTURES, "image/jpeg"),
        ("image/jpeg;q=0, */*", PICTURES, "image/png"),
        ("*/*, image/jpeg;q=0.000, image/png;q=0", PICTURES, "image/gif"),
        ("image/*;q=0, image/png;q=0.1", PICTURES, "image/png"),
        ("image/*;q=0, */*", PICTURES, None),
        ("*/*;q=0", PICTURES, None),
        ("image/jpeg;q=0", PICTURES, None),
        ("image/jpeg;q=none, */*", PICTURES, "image/jpeg"),
        ("application/dicom+json;q=0, */*", (*JSON_TYPES, XML), "application/json"),
        ("application/*;q=0, multipart/related", (XML,), XML),
        (f'multipart/related; type="{XML}"; q=0, */*', (XML,), None),
        ("multipart/related;q=0, */*", JSON_TYPES, "application/dicom+json"),
    ],
)
def test_a_refused_type_is_left_out(header, offered, chosen):
    ranges = parse_accept(header)
    if chosen is not None:
        assert choose(ranges, offered) == chosen
        return
    with pytest.raises(RequestError) as refused:
        choose(ranges, offered)
    assert refused.value.status == 406


@pytest.mark.parametrize(
    ("header", "syntax"),
    [
        ("*/*; transfer-syntax=*", EXPLICIT),
        (f"{OCTETS};q=0, */*; transfer-syntax=*", LS),
        (f"{OCTETS};q=0, image/jls; transfer-syntax={LS}; q=0, */*; transfer-syntax=*", NEAR_LS),
        (f"image/jls; transfer-syntax=*, image/jls; transfer-syntax={LS}; q=0", NEAR_LS),
        (f'{OCTETS};q=0, multipart/related; type="{OCTETS}"', EXPLICIT),
    ],
)
def test_a_refused_form_is_left_out(header, syntax):
    assert pick(parse_accept(header), FORMS).transfer_syntax == syntax


@pytest.mark.parametrize(
    ("suffix", "accept", "given"),
    [
        ("/frames/1", f"{OCTETS};q=0, */*", "image/jls"),
        ("/rendered", "image/jpeg;q=0, */*", "image/png"),
        ("/metadata", "application/dicom+json;q=0, application/json;q=0, */*", "application/dicom+xml"),
        ("/bulkdata/7FE00010", f"{OCTETS};q=0, */*", 406),
        ("", "application/dicom;q=0, */*", 406),
    ],
)
def test_doors_give_out_nothing_that_is_refused(client, filled, suffix, accept, given):
    answer = client.get(filled.path(filled.lossy()) + suffix, headers={"Accept": accept})
    if given == 406:
        assert answer.status_code == 406
    else:
        assert given in answer.headers["content-type"]
    assert client.get(f"{ROOT}/studies", headers={"Accept": "*/*;q=0"}).status_code == 406


@pytest.mark.parametrize("refusal", ["a/b;q=0,", "image/*;q=0,"])
def test_long_headers_take_no_time(refusal):
    """Each wish is not compared to each refusal: a header may hold 1000 of both."""
    half = MAX_ACCEPT_BYTES // 2
    ranges = parse_accept("*/*," * (half // 4) + refusal * (half // len(refusal)) + "image/png;q=0")
    start = time.process_time()
    with contextlib.suppress(RequestError):
        choose(ranges, PICTURES)
    assert time.process_time() - start < 0.2
