"""How far verifications have come: one row for each name."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from mripacs.core.model import VerifyFinding, VerifyProgress
from mripacs.store import schema
from mripacs.store.writing import now

_progress = schema.progress.c


def read(connection: Connection, name: str) -> VerifyProgress | None:
    """The row of that name; what it says of findings is left out where it is damaged."""
    row = connection.execute(select(schema.progress).where(_progress.name == name)).first()
    if row is None:
        return None
    found = tuple(VerifyFinding(*finding) for finding in row.findings.get("findings", ()))
    return VerifyProgress(row.last_id, row.checked, found, row.updated_at, row.finished_at)


def write(connection: Connection, name: str, state: VerifyProgress) -> None:
    """Put the row of that name, with the time."""
    values = {**asdict(state), "name": name, "updated_at": now()}
    values["findings"] = {"findings": [list(asdict(finding).values()) for finding in state.findings]}
    connection.execute(delete(schema.progress).where(_progress.name == name))
    connection.execute(insert(schema.progress), values)
