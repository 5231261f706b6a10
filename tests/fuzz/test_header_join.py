"""Hostile rows: stored headers, references and offsets that are not what they were end in an error of ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from mripacs import Archive
from mripacs.core.errors import DamagedInstanceError, MripacsError
from mripacs.core.model import ReceivedObject
from mripacs.store import headers
from tests.e2e.objects import encoded, mr_object
from tests.fuzz.memory import PeakMemory

HEADER = b"".join(b"%05d some header" % number for number in range(400))
REFERENCE = headers.make_reference(HEADER.replace(b"some", b"same"))
PACKED = headers.pack(HEADER, [REFERENCE]).data
COLUMNS = [
    ("header", "data"), ("header", "raw_length"), ("header", "reference_id"), ("header_reference", "data"),
    ("header_reference", "raw_length"), ("payload", "data"), ("instance", "pixel_offset"), ("instance", "certificate"),
    ("instance", "transfer_syntax"), ("instance", "attributes"), ("series", "instance_attributes"),
]  # fmt: skip


@settings(max_examples=300)
@given(st.integers(0, len(PACKED)), st.integers(0, 8), st.binary(max_size=8), st.integers(-(2**40), 2**40))
def test_damaged_frames(at: int, gone: int, put: bytes, raw_length: int) -> None:
    data = PACKED[:at] + put + PACKED[at + gone :]
    for length in (len(HEADER), raw_length):
        for reference in (REFERENCE, None):
            try:
                event("unpacked" if headers.unpack(data, length, reference) else "empty")
            except ValueError:
                event("refused")


@pytest.mark.parametrize("claims", [True, False])
def test_a_bomb_takes_no_memory(claims: bool) -> None:
    """512 MiB of zeros in 16 KB, where some bytes were expected, with and without its size written into it."""
    bomb = zstandard.ZstdCompressor(level=3, write_content_size=claims).compress(bytes(2**29))
    with PeakMemory() as memory, pytest.raises(ValueError, match="bytes"):
        headers.unpack(bomb, 1000, None)
    assert memory.growth < 32 * 2**20


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory):
    """An archive of two instances, one of them packed against a header reference, and its database."""
    folder = tmp_path_factory.mktemp("fuzzed")
    with Archive.open(folder) as made:
        first = mr_object()
        same = {"StudyInstanceUID": first.StudyInstanceUID, "SeriesInstanceUID": first.SeriesInstanceUID}
        for dataset in (first, mr_object(InstanceNumber=2, **same)):
            uid = str(dataset.SOPInstanceUID)
            made.store(ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, MRImageStorage, uid, "test"))
        yield made, Path(folder) / "mripacs.db"


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(COLUMNS),
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=300) | st.text(max_size=50),
)
def test_any_value_in_a_row_is_found(archive, column: tuple[str, str], value: object) -> None:
    """Read back as it was or not at all."""
    made, path = archive
    table, name = column
    before = {identity.sop_instance_uid: made.fetch_encoded(identity.sop_instance_uid) for identity in made}
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        rows = database.execute(f"SELECT rowid, {name} FROM {table}").fetchall()  # noqa: S608 - ours
        if value is None and name not in ("reference_id", "pixel_offset"):
            value = b""
        database.execute(f"UPDATE {table} SET {name} = ?", (value,))  # noqa: S608
    made._store._references = headers.ReferenceCache()  # or it would not be read
    try:
        for uid, given_out in before.items():
            try:
                assert made.fetch_encoded(uid) == given_out
                event("as it was")
            except DamagedInstanceError:
                event("damaged")
            except MripacsError as error:
                event(type(error).__name__)
    finally:
        with closing(sqlite3.connect(path)) as database, database:
            for rowid, old in rows:
                database.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (old, rowid))  # noqa: S608
