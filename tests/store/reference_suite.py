"""References that lean on another one of their study: what is shared, and what is left when one side goes."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text, update

from mripacs.core.errors import DamagedInstanceError
from mripacs.core.model import InstanceSelection, NewInstance, ReceivedObject
from mripacs.store import AddedInstance, Store, schema, settling
from mripacs.store.headers import MAX_RAW_BYTES
from mripacs.store.settling import Settled
from tests.store.deletion_suite import long_header
from tests.store.examples import new_instance

_reference = schema.header_reference.c


def of_series(series: str, study: str = "4", number: int = 1, kind: str = "a visit") -> NewInstance:
    """Headers of a visit are much alike, those of a series more."""
    uid = f"1.{study}.{series}.{number}"
    header = long_header(kind, "") + f"series {series} {'x' * 40} instance {number}".encode()
    return new_instance(uid, f"{study}.{series}", study, served=f"2.25.{uid}", header=header)


def waits(store: Store, new: NewInstance) -> Settled:
    """The instance, whose object is in the store and waits to become it."""
    uid = new.original_sop_instance_uid
    received = ReceivedObject(new.header, new.transfer_syntax, new.sop_class_uid, uid, "a test")
    number, received_at = store.waiting.add(received, new.attributes, "a node")
    return Settled(number, new, received_at)


def leaning(store: Store) -> dict[str, str | None]:
    """Series of each reference, and that of its base."""
    base, above = schema.header_reference.alias(), schema.series.alias()
    rows = (
        select(schema.series.c.series_instance_uid, above.c.series_instance_uid)
        .join(schema.header_reference, _reference.series_id == schema.series.c.id)
        .outerjoin(base, base.c.id == _reference.base_id)
        .outerjoin(above, above.c.id == base.c.series_id)
    )
    with store._engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(rows)}


def require_whole(store: Store, *news: NewInstance) -> None:
    """Read past all caches."""
    assert store.check_references() == []
    with Store.open(str(store._engine.url.render_as_string(hide_password=False))) as fresh:
        for new in news:
            assert fresh.verify_bytes(new.sop_instance_uid) == []
            assert fresh.load(new.sop_instance_uid).header == new.header


class ReferenceSuite:
    """Series of one study share what their headers have in common."""

    def test_they_lean_within_their_study_only(self, store: Store) -> None:
        news = [of_series(series, study) for study in "48" for series in "123"]
        added = [store.add(new) for new in news]
        assert leaning(store) == {"4.1": None, "4.2": "4.1", "4.3": "4.1", "8.1": None, "8.2": "8.1", "8.3": "8.1"}
        assert added[1].reference_bytes < added[0].reference_bytes / 4
        require_whole(store, *news)

    def test_unlike_ones_stand_alone(self, store: Store) -> None:
        news = [of_series("1"), of_series("2", kind="\x00other \x01 words \x02"), of_series("3")]
        for new in news:
            store.add(new)
        assert leaning(store) == {"4.1": None, "4.2": None, "4.3": "4.1"}
        require_whole(store, *news)

    def test_a_base_that_another_node_was_faster_with(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was to lean on it in the same transaction is packed anew."""
        news = [of_series(series) for series in "123"]
        waiting = [waits(store, new) for new in news]
        plain = settling.lean_on_the_first

        def outrun(packed):
            monkeypatch.undo()
            with Store.open(store._engine.url.render_as_string(hide_password=False)) as other:
                (added,) = other.settling.settle(waiting[:1])
            assert isinstance(added, AddedInstance)
            return plain(packed)

        monkeypatch.setattr(settling, "lean_on_the_first", outrun)
        first, *others = store.settling.settle(waiting)
        assert first is None
        assert all(isinstance(each, AddedInstance) for each in others)
        assert store.waiting.numbers() == []
        assert leaning(store)["4.1"] is None
        require_whole(store, *news)

    @pytest.mark.parametrize("gone", ["1", "2"])
    def test_a_series_is_deleted_whole_and_the_others_stay(self, store: Store, gone: str) -> None:
        news = {series: of_series(series) for series in "123"}
        for new in news.values():
            store.add(new)
        store.delete(InstanceSelection(series_uids=(f"4.{gone}",)))
        left = [new for series, new in news.items() if series != gone]
        assert set(leaning(store)) == {f"4.{series}" for series in "123" if series != gone}
        require_whole(store, *left)
        store.add(of_series("5"))
        require_whole(store, *left, of_series("5"))
        store.delete(InstanceSelection(study_uids=("4",)))
        assert leaning(store) == {}

    def test_a_replaced_base_leaves_the_others_whole(self, store: Store) -> None:
        first, second = of_series("1"), of_series("2")
        store.add(first)
        store.add(second)
        store.replace(first)
        require_whole(store, first, second)

    def test_repair_lets_them_stand_alone(self, store: Store) -> None:
        first, second = of_series("1"), of_series("2")
        store.add(first)
        store.add(second)
        with store._writing() as connection:
            connection.execute(text("DELETE FROM header WHERE instance_id = (SELECT min(id) FROM instance)"))
        store.repair()
        assert leaning(store) == {"4.2": None}
        with Store.open(str(store._engine.url.render_as_string(hide_password=False))) as fresh:
            assert fresh.load(second.sop_instance_uid).header == second.header

    @pytest.mark.parametrize("changes", [{"base_id": None}, {"raw_length": MAX_RAW_BYTES}, {"digest": b"x" * 32}])
    def test_damage_of_one_that_leans_is_found_and_stays_its_own(
        self, store: Store, changes: dict[str, object]
    ) -> None:
        first, second = of_series("1"), of_series("2")
        store.add(first)
        store.add(second)
        with store._writing() as connection:
            connection.execute(update(schema.header_reference).where(_reference.base_id.is_not(None)).values(changes))
        assert [finding.sop_instance_uid for finding in store.check_references()] == ["4.2"]
        with Store.open(str(store._engine.url.render_as_string(hide_password=False))) as fresh:
            assert fresh.load(first.sop_instance_uid).header == first.header
            with pytest.raises(DamagedInstanceError, match="header reference"):
                fresh.load(second.sop_instance_uid)

    def test_a_damaged_base_is_named_and_can_be_deleted(self, store: Store) -> None:
        first, second = of_series("1"), of_series("2")
        store.add(first)
        store.add(second)
        with store._writing() as connection:
            connection.execute(update(schema.header_reference).where(_reference.base_id.is_(None)).values(data=b"gone"))
        findings = store.check_references()
        assert {finding.sop_instance_uid for finding in findings} == {"4.1", "4.2"}
        store.delete(InstanceSelection(series_uids=("4.1",)))
        assert [finding.sop_instance_uid for finding in store.check_references()] == ["4.2"]
        store.delete(InstanceSelection(study_uids=("4",)))
        assert store.check_references() == []

    def test_one_across_studies_is_found(self, store: Store) -> None:
        for study in "48":
            store.add(of_series("1", study))
            store.add(of_series("2", study))
        with store._writing() as connection:
            bases = select(_reference.id).where(_reference.base_id.is_(None)).order_by(_reference.id)
            first, second = connection.execute(bases).scalars()
            move = update(schema.header_reference).where(_reference.base_id == second)
            connection.execute(move.values(base_id=first))
        assert "8.2" in {finding.sop_instance_uid for finding in store.check_references()}
