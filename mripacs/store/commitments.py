"""Requests for storage commitment, kept from their acknowledgement until the report is delivered.

Whoever attempts a report claims its row first, by putting off the next attempt: nodes that share a database do not
report twice, and what a killed node had claimed is due again later.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from mripacs.core.model import PendingCommitment
from mripacs.store import schema
from mripacs.store.writing import now

MAX_PENDING = 1000  # kept at once; each may refer to 100,000 instances, 13 MB
# A row due later than this was written under a clock that has stepped back since: it is due now.
FURTHEST_AHEAD = timedelta(days=2)

Transaction = Callable[[], AbstractContextManager[Connection]]
_row = schema.commitment.c


class Commitments:
    """The requests kept in one database. Every method is one transaction and raises StoreError and its leaves."""

    def __init__(self, reading: Transaction, writing: Transaction) -> None:
        self._reading = reading
        self._writing = writing

    def add(self, request: PendingCommitment, in_s: float) -> PendingCommitment | None:
        """Keep a request durably, its first attempt due in `in_s` seconds; None when too many are kept already."""
        values = {
            "transaction_uid": request.transaction_uid,
            "requestor": request.requestor,
            "own_title": request.own_title,
            "referenced": {"references": [list(reference) for reference in request.references]},
            "requested_at": now(),
            "attempts": request.attempts,
            "next_attempt_at": _time(in_s),
        }
        with self._writing() as connection:
            if connection.execute(select(func.count()).select_from(schema.commitment)).scalar_one() >= MAX_PENDING:
                return None
            added = insert(schema.commitment).values(values).returning(_row.id)
            return replace(request, id=connection.execute(added).scalar_one())

    def claim_due(self, for_s: float) -> PendingCommitment | None:
        """Take the request that is due longest, for an attempt of at most `for_s` seconds; None when none is due."""
        due = or_(_row.next_attempt_at <= _time(0), _row.next_attempt_at > _time(FURTHEST_AHEAD.total_seconds()))
        longest = select(schema.commitment).where(due).order_by(_row.next_attempt_at, _row.id).limit(1)
        with self._reading() as connection:  # the usual answer is none: it takes no writer's turn
            if connection.execute(longest).first() is None:
                return None
        with self._writing() as connection:
            row = connection.execute(longest.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            values = {"attempts": row.attempts + 1, "next_attempt_at": _time(for_s)}
            connection.execute(update(schema.commitment).where(_row.id == row.id).values(values))
            return _pending(row)

    def postpone(self, request: PendingCommitment, in_s: float) -> None:
        """Put the next attempt off by `in_s` seconds."""
        with self._writing() as connection:
            later = update(schema.commitment).where(_row.id == request.id).values(next_attempt_at=_time(in_s))
            connection.execute(later)

    def remove(self, request: PendingCommitment) -> None:
        """The request was reported, or never will be."""
        with self._writing() as connection:
            connection.execute(delete(schema.commitment).where(_row.id == request.id))


def _time(in_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=in_s)).isoformat(timespec="microseconds")


def _pending(row: Row[Any]) -> PendingCommitment:
    """The row as claimed; without references where they are damaged."""
    references = tuple((str(pair[0]), str(pair[1])) for pair in row.referenced.get("references", ()))
    return PendingCommitment(
        row.transaction_uid, row.requestor, row.own_title, references, attempts=row.attempts + 1, id=row.id
    )
