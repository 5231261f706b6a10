"""Growth, pictures and totals on both databases: right while things come and go, and read from new rows only."""

from __future__ import annotations

import pytest

from mripacs.core.model import IndexAttributes, InstanceSelection
from mripacs.retrieve import growth as growth_module
from mripacs.retrieve.growth import Growth
from mripacs.store import Store
from tests.postgres import new_postgres_database, postgres_server
from tests.store.examples import new_instance

__all__ = ["new_postgres_database", "postgres_server"]  # fixtures of others


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    postgresql = request.param == "postgresql"
    url = request.getfixturevalue("new_postgres_database")() if postgresql else f"sqlite:///{tmp_path / 'archive.db'}"
    with Store.open(url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch):
    """Everything is settled at once, and no answer is old."""
    monkeypatch.setattr(growth_module, "SETTLE_S", -5)
    monkeypatch.setattr(growth_module, "FRESH_S", -1)


def of_maker(uid: str, manufacturer: str | None, series: str = "1.2.3"):
    found = new_instance(uid, series)
    series_attributes = {key: value for key, value in found.attributes.series.items() if key != "Manufacturer"}
    if manufacturer is not None:
        series_attributes["Manufacturer"] = manufacturer
    attributes = IndexAttributes(
        found.attributes.patient, found.attributes.study, series_attributes, found.attributes.instance
    )
    return type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"attributes": attributes})


def totals(growth: Growth) -> dict[str, tuple[int, ...]]:
    rows = growth.read().rows
    return {row.manufacturer: (row.instances, row.received_bytes, row.payload_bytes, row.header_bytes) for row in rows}


def test_growth_is_what_statistics_say(store):
    growth = Growth(store)
    assert growth.read().rows == ()
    store.add(of_maker("1.1", "ACME", "1.2.1"))
    store.add(of_maker("1.2", None, "1.2.2"))
    store.add(of_maker("1.3", "ACME", "1.2.1"))
    expected = store.statistics()
    found = growth.read()
    assert {row.manufacturer: row.instances for row in found.rows} == {"ACME": 2, "": 1}
    assert sum(row.received_bytes for row in found.rows) == expected.received_bytes
    assert sum(row.payload_bytes for row in found.rows) == expected.payload_bytes
    assert sum(row.header_bytes for row in found.rows) == expected.header_bytes
    assert sum(row.received_pixel_bytes for row in found.rows) == 3 * 1000
    assert found.reference_bytes == expected.reference_bytes
    assert len({row.day for row in found.rows}) == 1


def test_only_new_rows_are_read(store, monkeypatch):
    growth = Growth(store)
    after = []
    plain = store.growth

    def spied(last, before):
        after.append(last)
        return plain(last, before)

    monkeypatch.setattr(store, "growth", spied)
    for number in range(4):
        store.add(of_maker(f"1.{number}", "ACME"))
        assert totals(growth)["ACME"][0] == number + 1
    assert after == sorted(set(after))
    assert len(after) == 4


def test_a_deletion_is_seen(store):
    growth = Growth(store)
    for number in range(3):
        store.add(of_maker(f"1.{number}", "ACME"))
    before = totals(growth)["ACME"]
    store.delete(InstanceSelection(sop_instance_uids=("1.1",)))
    after = totals(growth)["ACME"]
    assert (before[0], after[0]) == (3, 2)
    assert after[1] == store.statistics().received_bytes
    store.add(of_maker("1.9", "ACME"))
    assert totals(growth)["ACME"][0] == 3


def test_what_is_not_settled_is_counted_once(store, monkeypatch):
    monkeypatch.setattr(growth_module, "SETTLE_S", 3600)
    growth = Growth(store)
    for number in range(3):
        store.add(of_maker(f"1.{number}", "ACME"))
        assert totals(growth)["ACME"][0] == number + 1
    monkeypatch.setattr(growth_module, "SETTLE_S", -5)
    assert totals(growth)["ACME"][0] == totals(growth)["ACME"][0] == 3


def test_answers_are_shared_for_a_moment(store, monkeypatch):
    monkeypatch.setattr(growth_module, "FRESH_S", 60)
    growth = Growth(store)
    first = growth.read()
    store.add(of_maker("1.1", "ACME"))
    assert growth.read() is first


def test_the_middle_of_the_largest_series_stands_for_a_study(store):
    store.add(new_instance("1.1.1", "1.2.1"))
    for number in range(5):
        store.add(new_instance(f"1.2.{number}", "1.2.2"))
    assert store.middle_instance("1.2") == "1.2.2"
    assert store.middle_instance("1.2", "1.2.1") == "1.1.1"
    assert store.middle_instance("9.9") is None
    assert store.middle_instance("1.2", "9.9") is None
    store.quarantine("1.2.2", "a test")
    assert store.middle_instance("1.2") not in (None, "1.2.2")


def test_the_order_and_totals_of_a_series(store):
    for number in (3, 1, 2):
        store.add(new_instance(f"1.2.{number}", "1.2.2"))
    assert sorted(store.series_order("1.2", "1.2.2")) == ["1.2.1", "1.2.2", "1.2.3"]
    totals = store.series_totals("1.2")["1.2.2"]
    expected = store.statistics()
    assert (totals.instances, totals.received_bytes) == (3, expected.received_bytes)
    assert (totals.payload_bytes, totals.header_bytes) == (expected.payload_bytes, expected.header_bytes)
    assert totals.rel_error == 0.049
    assert store.series_totals("9.9") == {}


def test_health_tells_size_and_room(store):
    empty = store.health()
    assert empty.database_bytes > 0
    assert (empty.free_bytes is None) is (empty.kind == "postgresql")
