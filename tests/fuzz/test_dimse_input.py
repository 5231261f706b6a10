"""Hostile identifiers: whatever a query, retrieve or commitment request holds is read or refused with QueryError."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mripacs import Archive
from mripacs.core.errors import QueryError
from mripacs.dimse import commitment, identifiers
from mripacs.retrieve.matching import parse_query, parse_selection
from tests.e2e.objects import encoded

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
KEYWORDS = [
    "PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyTime", "StudyInstanceUID", "SeriesInstanceUID",
    "SOPInstanceUID", "Modality", "InstanceNumber", "ModalitiesInStudy", "AccessionNumber", "SpecificCharacterSet",
    "Rows", "PixelData", "ReferringPhysicianName", "NumberOfStudyRelatedInstances",
]  # fmt: skip
TEXTS = st.text(max_size=40) | st.sampled_from(
    ["*", "?", "%", "_", "\\", "-", "20200101-", "[a-z]*", "'; DROP TABLE x"]
)


def good() -> bytes:
    request = Dataset()
    request.QueryRetrieveLevel, request.PatientName, request.StudyDate = "STUDY", "A*", "20200101-20201231"
    request.StudyInstanceUID, request.ModalitiesInStudy, request.InstanceNumber = "1.2.3", ["MR", "CT"], 1
    return encoded(request)


GOOD = good()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory):
    with Archive.open(tmp_path_factory.mktemp("fuzzed")) as made:
        yield made


def ask(archive: Archive, request: Dataset) -> None:
    """What the handlers of C-FIND, C-GET and C-MOVE do with it."""
    level, keys = identifiers.level_of(request), identifiers.matching_keys(request)
    query = parse_query(level, keys)
    archive.supports(query)
    for row in archive.query(query):
        identifiers.response_identifier(request, row, level, "MRIPACS")
    archive.select(parse_selection(level, keys))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.binary(max_size=12), st.sampled_from(SYNTAXES))
def test_damaged_identifiers(archive: Archive, at: int, gone: int, put: bytes, syntax: object) -> None:
    damaged = GOOD[:at] + put + GOOD[at + gone :]
    try:
        ask(archive, identifiers.decode_identifier(BytesIO(damaged), syntax))
        event("answered")
    except QueryError:
        event("refused")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["PATIENT", "STUDY", "SERIES", "IMAGE", ""]), st.dictionaries(st.sampled_from(KEYWORDS), TEXTS))
def test_any_text_as_a_key(archive: Archive, level: str, keys: dict[str, str]) -> None:
    try:
        request = identifiers.request_identifier(level, keys)
        ask(archive, request)
        event("answered")
    except QueryError:
        event("refused")


def commitment_event(information: bytes, syntax: object) -> SimpleNamespace:
    """An N-ACTION as `read_request` sees it."""
    entity = SimpleNamespace(ae_title="A")
    return SimpleNamespace(
        request=SimpleNamespace(ActionInformation=BytesIO(information)),
        context=SimpleNamespace(transfer_syntax=syntax),
        assoc=SimpleNamespace(requestor=entity, acceptor=entity),
    )


def commitment_information() -> bytes:
    item = Dataset()
    item.ReferencedSOPClassUID = item.ReferencedSOPInstanceUID = "1.2.3"
    information = Dataset()
    information.TransactionUID, information.ReferencedSOPSequence = "1.2.3", [item, item]
    return encoded(information)


INFORMATION = commitment_information()


@settings(max_examples=200)
@given(st.integers(0, len(INFORMATION)), st.integers(0, 12), st.binary(max_size=12), st.sampled_from(SYNTAXES))
def test_damaged_commitment_requests(at: int, gone: int, put: bytes, syntax: object) -> None:
    damaged = INFORMATION[:at] + put + INFORMATION[at + gone :]
    try:
        request = commitment.read_request(commitment_event(damaged, syntax))
        event("read")
        assert request.transaction_uid
        assert all(uid for _, uid in request.references)
    except QueryError:
        event("refused")
