"""Storage commitments that are not reported yet, and the upgrade of a database that has no place for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import text

from mripacs.core.model import PendingCommitment
from mripacs.store import Store, commitments
from mripacs.store.migrate import upgrade
from tests.store.upgrade_suite import migrated

REQUEST = PendingCommitment("1.9", "ASKER", "MRIPACS", (("1.2.840.1", "1.1"), ("1.2.840.1", "1.2")))


class CommitmentSuite:
    """Everything about `mripacs.store.commitments` and its revision."""

    def test_a_request_is_kept_until_it_is_removed(self, url: str) -> None:
        with Store.open(url) as store:
            kept = store.commitments.add(REQUEST, 0)
        with Store.open(url) as store:
            claimed = store.commitments.claim_due(60)
            assert (claimed.id, claimed.attempts) == (kept.id, 1)
            assert (claimed.transaction_uid, claimed.requestor, claimed.own_title) == ("1.9", "ASKER", "MRIPACS")
            assert claimed.references == REQUEST.references
            assert store.commitments.claim_due(60) is None  # it is being attempted
            store.commitments.postpone(claimed, 0)
            assert store.commitments.claim_due(60).attempts == 2
            store.commitments.postpone(claimed, 0)
            store.commitments.remove(claimed)
            assert store.commitments.claim_due(60) is None

    def test_each_is_claimed_once(self, store: Store, url: str) -> None:
        for number in range(12):
            store.commitments.add(PendingCommitment(f"1.{number}", "A", "B", ()), 0)
        with Store.open(url) as other, ThreadPoolExecutor(4) as threads:
            claimed = list(threads.map(lambda at: at.commitments.claim_due(60), [store, other] * 8))
        uids = [each.transaction_uid for each in claimed if each]
        assert len(uids) == len(set(uids))
        while rest := store.commitments.claim_due(60):  # a claim that lost against another may have found none
            uids.append(rest.transaction_uid)
        assert sorted(uids) == sorted(f"1.{number}" for number in range(12))

    def test_a_lease_ends(self, store: Store) -> None:
        store.commitments.add(REQUEST, 0)
        assert store.commitments.claim_due(-1).attempts == 1  # whoever had it was killed
        assert store.commitments.claim_due(60).attempts == 2

    def test_under_a_clock_that_stepped_back(self, store: Store) -> None:
        store.commitments.add(REQUEST, timedelta(days=300).total_seconds())
        assert store.commitments.claim_due(60) is not None
        store.commitments.postpone(REQUEST, timedelta(days=1).total_seconds())
        assert store.commitments.claim_due(60) is None

    def test_there_are_not_too_many(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commitments, "MAX_PENDING", 2)
        assert [store.commitments.add(REQUEST, 60) is None for _ in range(3)] == [False, False, True]

    def test_a_database_without_a_place_for_them_gets_one(self, store: Store, url: str) -> None:
        store.close()
        migrated(url, command.downgrade, "0001")
        upgrade(url)
        with Store.open(url) as upgraded:
            assert upgraded.commitments.add(REQUEST, 0) is not None
            with upgraded._engine.connect() as stored:
                (time,) = stored.execute(text("SELECT requested_at FROM commitment")).one()
        assert abs(datetime.fromisoformat(time) - datetime.now(UTC)) < timedelta(minutes=5)
